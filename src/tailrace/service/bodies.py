"""Reading a picture out of a request, without ever holding more than the limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from tailrace.service.calls import Call
from tailrace.service.errors import (
    BodyTooLargeError,
    ClientGoneError,
    EncodedBodyError,
    RequestError,
)

_SLICE_BYTES = 256 * 2**10


async def read_picture(call: Call, limit_bytes: int) -> bytes:
    """The picture's bytes: the body itself, or the one file of a multipart form.

    Raises:
        BodyTooLargeError: the body is, or says it is, longer than `limit_bytes`.
        ClientGoneError: the client left before it was through.
        RequestError: a multipart form that is broken or has not just one file.
    """
    body = await read_body(call, limit_bytes)
    media_type = call.header(b"content-type")
    if media_type is not None and media_type.lower().startswith("multipart/form-data"):
        return await _only_file(media_type, body)
    return body


async def read_body(call: Call, limit_bytes: int) -> bytes:
    """The body.

    Raises:
        BodyTooLargeError: it is, or says it is, longer than `limit_bytes`.
        ClientGoneError: the client left before it was through.
        EncodedBodyError: it is compressed.
    """
    encoding = call.header(b"content-encoding")
    length = call.header(b"content-length")
    if length is None:
        coding = call.header(b"transfer-encoding") or "chunked"
        encoding = encoding if coding.lower() == "chunked" else coding
    # llhttp has seen to it that the length is a number and that no body runs past it.
    elif int(length) > limit_bytes:
        raise _too_large(limit_bytes)
    if encoding and encoding.lower() != "identity":
        raise EncodedBodyError(f"the body is in {encoding}: send it as it is")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError("the client left before its request was complete")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(limit_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"the body is too long: the limit is {limit_bytes:,} bytes")


async def _only_file(media_type: str, body: bytes) -> bytes:
    async def stream() -> AsyncGenerator[bytes, None]:
        for begin in range(0, len(body), _SLICE_BYTES):
            yield body[begin : begin + _SLICE_BYTES]
            # Other requests need not wait until it is all parsed.
            await asyncio.sleep(0)

    parser = MultiPartParser(Headers({"content-type": media_type}), stream())
    parser.spool_max_size = len(body)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeError) as error:
        reason = getattr(error, "message", None) or "its boundary or encoding is missing or wrong"
        raise RequestError(f"the multipart form cannot be read: {reason}") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise RequestError(f"the multipart form has {len(files)} files: send exactly one")
        return await files[0].read()
    finally:
        await form.close()
