"""Answers that are sent piece by piece: server-sent events, and runs of thousands of intervals.

A client that does not read holds up its own stream alone: no piece is made before the one before
it has gone out, and the updates behind it are the controller's to drop.
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import StreamingResponse

from tailrace.control.faces.answers import NO_STORE
from tailrace.control.interface import RunRecord, Update
from tailrace.control.json_codec import encode

_POINTS = 256
"""Encoded in one go: about a millisecond in which nothing else gets its turn."""


def stream_events(
    request: Request, updates: AsyncIterator[Update], heartbeat_s: float
) -> StreamingResponse:
    """Each update as a server-sent event, until there are no more or the server stops.

    After `heartbeat_s` of silence comes a comment, so that proxies keep the stream open.
    """
    stopping: asyncio.Event = getattr(request.app.state, "stopping", asyncio.Event())
    return StreamingResponse(
        _events(updates, heartbeat_s, stopping),
        media_type="text/event-stream",
        headers={**NO_STORE, "X-Accel-Buffering": "no"},
    )


def stream_run(record: RunRecord) -> StreamingResponse:
    """The record as JSON."""
    return StreamingResponse(_pieces(record), headers=NO_STORE, media_type="application/json")


async def _events(
    updates: AsyncIterator[Update], heartbeat_s: float, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    stopped = asyncio.ensure_future(stopping.wait())
    ahead = asyncio.ensure_future(anext(updates, None))
    try:
        while not stopped.done():
            # Waiting on a kept future, since a timeout on anext itself would cancel the iterator.
            done, _ = await asyncio.wait(
                (ahead, stopped), timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                yield b": still here\n\n"
            if ahead not in done:
                continue
            update = ahead.result()
            if update is None:
                return
            yield b"data: %b\n\n" % encode(update)
            ahead = asyncio.ensure_future(anext(updates, None))
    finally:
        stopped.cancel()
        ahead.cancel()


async def _pieces(record: RunRecord) -> AsyncIterator[bytes]:
    yield b'{"info":%b,"result":%b,"points":[' % (encode(record.info), encode(record.result))
    for first in range(0, len(record.points), _POINTS):
        # Of the list, without its brackets.
        points = encode(record.points[first : first + _POINTS])[1:-1]
        yield b"," + points if first else points
        await asyncio.sleep(0)
    yield b"]}"
