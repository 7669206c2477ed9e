"""Each call of `tailrace.v1.LoadControl`, translated to a LoadControl and its answer back."""

import asyncio
import contextlib
import string
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, NoReturn, TypeAlias
from urllib.parse import quote

import grpc
import grpc.aio
import msgspec

from tailrace.control.faces.rpc.codec import Codec, codec
from tailrace.control.faces.rpc.schema import SERVICE
from tailrace.control.faces.rpc.wire import ERROR_KEY
from tailrace.control.interface import LoadControl, Point, RunRecord, Update
from tailrace.control.methods import METHODS, Method
from tailrace.errors import TailraceError, known_as

_POINTS_A_PART = 32
"""Of a run: translated in a few milliseconds, so that the event loop is never held for long."""
_LONGEST_LINE = 6000
"""Bytes of an error's line, as it is sent: clients refuse metadata above 8 KiB."""
_KEPT = 256

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"


class Face:
    """What a grpc.aio server needs to answer for `control`: its `handler`."""

    def __init__(self, control: LoadControl) -> None:
        self._control = control
        self._streams: set[asyncio.Task[None]] = set()
        self._updates = PackedUpdates()
        methods = {method.rpc: self._handler(method) for method in METHODS}
        self.handler = grpc.method_handlers_generic_handler(SERVICE, methods)

    def end_streams(self) -> None:
        """Tell everyone who still reads a stream that the control room is going away."""
        for stream in self._streams:
            stream.cancel()

    def _handler(self, method: Method) -> "grpc.RpcMethodHandler[bytes, bytes]":
        # Without serializers bytes go in and out as they are.
        def ask(data: bytes) -> Any:
            request = codec(method.request).decode(data) if method.request is not None else None
            return method.call(self._control, request)

        async def answer(data: bytes, context: _Context) -> bytes:
            try:
                answered = await ask(data)
                if method.response is None:
                    return b""
                return codec(method.response).encode(method.wrap(answered))
            except TailraceError as error:
                return await _abort(context, error)

        async def stream(data: bytes, context: _Context) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._streams.add(task)
            try:
                asked = ask(data)
                parts = self._packed(asked) if method.streams else _parts(await asked)
                async with contextlib.aclosing(parts):
                    async for part in parts:
                        # Waits while the client does not read.
                        await context.write(part)
            except TailraceError as error:
                await _abort(context, error)
            except asyncio.CancelledError:
                if context.cancelled():
                    raise
                await context.abort(grpc.StatusCode.UNAVAILABLE, "it has stopped")
            finally:
                self._streams.discard(task)

        if method.streams or method.in_parts:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(answer)

    async def _packed(self, updates: AsyncIterator[Update]) -> AsyncGenerator[bytes]:
        try:
            async for update in updates:
                yield self._updates.bytes_of(update)
        finally:
            # A generator is closed at once when its reader has gone, not when it is collected.
            if isinstance(updates, AsyncGenerator):
                await updates.aclose()


class PackedUpdates:
    """The bytes of updates, each translated once for all who watch it; those of the last few are
    kept.
    """

    def __init__(self) -> None:
        self._recent: OrderedDict[int, tuple[Update, bytes]] = OrderedDict()

    def bytes_of(self, update: Update) -> bytes:
        """`update` as a `tailrace.v1.Update`."""
        # The update is kept beside its bytes, so no other one can have its identity meanwhile.
        known = self._recent.get(id(update))
        if known is not None:
            return known[1]
        data = codec(Update).encode(update)
        self._recent[id(update)] = update, data
        if len(self._recent) > _KEPT:
            self._recent.popitem(last=False)
        return data


class _Points(msgspec.Struct):
    points: tuple[Point, ...]


_POINTS = Codec(_Points, RunRecord.__name__)


async def _parts(record: RunRecord) -> AsyncGenerator[bytes]:
    """All but the points, then the points; bytes of messages add up to those of the whole."""
    yield codec(RunRecord).encode(msgspec.structs.replace(record, points=()))
    for first in range(0, len(record.points), _POINTS_A_PART):
        points = record.points[first : first + _POINTS_A_PART]
        yield _POINTS.encode(_Points(points))


async def _abort(context: _Context, error: TailraceError) -> NoReturn:
    """Answer with the error's status, its line and its name."""
    line = str(error)
    if len(quote(line, safe=string.printable)) > _LONGEST_LINE:
        # What is wrong stands at its beginning or its end; between them, what was given.
        line = f"{line[:200]} … {line[-200:]}"
    code = grpc.StatusCode[error.rpc_status]
    await context.abort(code, line, ((ERROR_KEY, known_as(error).__name__),))
