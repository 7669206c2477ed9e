"""Reading a picture out of a request, without ever holding more than the limit."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from tailrace.service.errors import BodyTooLargeError, ClientGoneError, RequestError


async def read_picture(request: Request, limit_bytes: int) -> bytes:
    """The picture's bytes: the body itself, or the one file of a multipart form.

    Raises:
        BodyTooLargeError: the body is, or says it is, longer than `limit_bytes`.
        ClientGoneError: the client left before it was through.
        RequestError: a multipart form that is broken or has not just one file.
    """
    body = await _read(request, limit_bytes)
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _only_file(request.headers, body)
    return body


async def _read(request: Request, limit_bytes: int) -> bytes:
    # llhttp has seen to it that the length is a number and that no body runs past it.
    if int(request.headers.get("content-length", 0)) > limit_bytes:
        raise _too_large(limit_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
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


async def _only_file(headers: Headers, body: bytes) -> bytes:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(headers, stream()).parse()
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
