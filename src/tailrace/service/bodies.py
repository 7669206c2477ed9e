"""Reading a picture out of a request, without ever holding more than the limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from tailrace.service.calls import Call
from tailrace.service.errors import (
    CODINGS,
    BodyTooLargeError,
    ClientGoneError,
    EncodedBodyError,
    RequestError,
)
from tailrace.service.inflation import Inflater

Body = bytes | bytearray
"""What a request sent. A long one is not copied once more only to be of one type."""

_SLICE_BYTES = 256 * 2**10


async def read_picture(call: Call, limit_bytes: int) -> bytes:
    """The picture's bytes: the body itself, or the one file of a multipart form.

    Raises:
        RequestError: as `read_body`; a multipart form that is broken or has not just one file.
    """
    body = await read_body(call, limit_bytes)
    media_type = call.header(b"content-type")
    if media_type is not None and media_type.lower().startswith("multipart/form-data"):
        return await _only_file(media_type, body)
    return bytes(body)


async def read_body(call: Call, limit_bytes: int) -> Body:
    """The body, inflated if it is compressed.

    Raises:
        BodyTooLargeError: it is, says it is, or becomes longer than `limit_bytes`.
        BusyError: too many bodies are at hand.
        ClientGoneError: the client left before it was through.
        EncodedBodyError: it is compressed in a way not known here.
        RequestError: it is not compressed as it says.
    """
    length = call.header(b"content-length")
    # llhttp has seen to it that the length is a number and that no body runs past it.
    if length is not None and int(length) > limit_bytes:
        raise _too_large(f"body of {int(length):,} bytes", limit_bytes)
    coding = _coding(call, chunked=length is None)
    if coding is not None:
        return await _inflated(call, coding, limit_bytes)
    chunk, more = await _receive(call)
    if not more and len(chunk) <= limit_bytes:
        return chunk
    body = bytearray(chunk)
    while True:
        if len(body) > limit_bytes:
            raise _too_large("body", limit_bytes)
        if not more:
            return body
        chunk, more = await _receive(call)
        body += chunk


async def _inflated(call: Call, coding: str, limit_bytes: int) -> Body:
    body = bytearray()
    inflater = Inflater(coding)
    more = True
    while more:
        chunk, more = await _receive(call)
        for piece in inflater.feed(chunk):
            body += piece
            if len(body) > limit_bytes:
                raise _too_large("inflated body", limit_bytes)
            call.hold(len(piece))
            # Other requests need not wait until it is all inflated.
            await asyncio.sleep(0)
    inflater.end()
    return body


async def _receive(call: Call) -> tuple[bytes, bool]:
    # A part of the body, and whether there is more.
    message = await call.receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError("the client left before its request was complete")
    return message.get("body", b""), message.get("more_body", False)


def _coding(call: Call, chunked: bool) -> str | None:
    # How the body is compressed; None if it is not.
    transfer = (call.header(b"transfer-encoding") or "chunked").lower() if chunked else "chunked"
    if transfer != "chunked":
        raise EncodedBodyError(f"the body is sent in {transfer}: send it in chunked alone")
    named = call.header(b"content-encoding")
    if not named:
        return None
    codings = [coding.strip().lower().removeprefix("x-") for coding in named.split(",")]
    applied = [coding for coding in codings if coding not in ("", "identity")]
    if not applied:
        return None
    if len(applied) > 1 or applied[0] not in CODINGS:
        raise EncodedBodyError(
            f"the body is in {named}: send it as it is, or in {' or '.join(CODINGS)}"
        )
    return applied[0]


def _too_large(what: str, limit_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"the {what} is too long: the limit is {limit_bytes:,} bytes (tailrace serve --max-body)"
    )


async def _only_file(media_type: str, body: Body) -> bytes:
    async def stream() -> AsyncGenerator[bytes, None]:
        for begin in range(0, len(body), _SLICE_BYTES):
            yield bytes(body[begin : begin + _SLICE_BYTES])
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
