"""Each call of `tailrace.v1.LoadControl`, translated to a LoadControl and its answer back."""

import asyncio
import contextlib
import re
import string
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, NoReturn, TypeAlias
from urllib.parse import quote

import grpc
import grpc.aio
import msgspec
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tailrace.control.interface import LoadControl
from tailrace.control.rpc import tailrace_pb2 as pb
from tailrace.control.rpc.codec import parse
from tailrace.control.rpc.packed import PackedUpdates
from tailrace.control.rpc.wire import (
    CODES,
    CONFIG,
    ERROR_KEY,
    INFO,
    POINT,
    RECORD,
    RUN_INFO,
    SEARCH,
    SERVICE,
    WINDOW,
)
from tailrace.errors import TailraceError, UsageError

_POINTS_A_PART = 32
"""Of a run: translated in a few milliseconds, so that the event loop is never held for long."""
_LONGEST_LINE = 6000
"""Bytes of an error's line, as it is sent: clients refuse metadata above 8 KiB."""

_Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"


class Face:
    """What a grpc.aio server needs to answer for `control`: its `handler`."""

    def __init__(self, control: LoadControl) -> None:
        calls = _Calls(control)
        self._streams: set[asyncio.Task[None]] = set()
        methods = {method.name: self._method(calls, method) for method in SERVICE.methods}
        self.handler = grpc.method_handlers_generic_handler(SERVICE.full_name, methods)

    def end_streams(self) -> None:
        """Tell everyone who still reads a stream that the control room is going away."""
        for stream in self._streams:
            stream.cancel()

    def _method(
        self, calls: "_Calls", method: MethodDescriptor
    ) -> "grpc.RpcMethodHandler[bytes, bytes]":
        # Without serializers bytes go in and out as they are.
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()
        call: Callable[[Any], Any] = getattr(calls, name)
        request_type: type[Message] = GetMessageClass(method.input_type)

        async def answer(data: bytes, context: _Context) -> bytes:
            try:
                message: Message = await call(parse(request_type, data))
            except TailraceError as error:
                return await _abort(context, error)
            return message.SerializeToString()

        async def stream(data: bytes, context: _Context) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._streams.add(task)
            try:
                async with _closing(call(parse(request_type, data))) as parts:
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

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(answer)


class _Calls:
    """One method for each call, by its name in snake case."""

    def __init__(self, control: LoadControl) -> None:
        self._control = control
        self._packed = PackedUpdates()

    async def list(self, request: Empty) -> pb.ListResponse:
        services = await self._control.list()
        return pb.ListResponse(services=[INFO.pack(service) for service in services])

    async def get(self, request: pb.ServiceRequest) -> pb.ServiceInfo:
        return INFO.pack(await self._control.get(request.service_id))

    async def get_config(self, request: pb.ServiceRequest) -> pb.ServiceConfig:
        return CONFIG.pack(await self._control.config(request.service_id))

    async def add(self, request: pb.ServiceConfig) -> pb.ServiceInfo:
        return INFO.pack(await self._control.add(CONFIG.unpack(request)))

    async def change(self, request: pb.ServiceConfig) -> pb.ServiceInfo:
        return INFO.pack(await self._control.change(CONFIG.unpack(request)))

    async def remove(self, request: pb.ServiceRequest) -> Empty:
        await self._control.remove(request.service_id)
        return Empty()

    async def start(self, request: pb.StartRequest) -> pb.ServiceInfo:
        rate = request.rate_per_s if request.HasField("rate_per_s") else None
        return INFO.pack(await self._control.start(request.service_id, rate))

    async def stop(self, request: pb.ServiceRequest) -> pb.ServiceInfo:
        return INFO.pack(await self._control.stop(request.service_id))

    async def set_rate(self, request: pb.SetRateRequest) -> pb.ServiceInfo:
        if not request.HasField("rate_per_s"):
            raise UsageError("rate_per_s is missing")
        return INFO.pack(await self._control.set_rate(request.service_id, request.rate_per_s))

    async def set_profile(self, request: pb.SetProfileRequest) -> pb.ServiceInfo:
        return INFO.pack(await self._control.set_profile(request.service_id, request.profile))

    async def latest(self, request: pb.ServiceRequest) -> pb.LatestResponse:
        point = await self._control.latest(request.service_id)
        return pb.LatestResponse(point=POINT.pack(point) if point is not None else None)

    async def get_window(self, request: pb.ServiceRequest) -> pb.Window:
        return WINDOW.pack(await self._control.window(request.service_id))

    async def watch(self, request: pb.WatchRequest) -> AsyncGenerator[bytes]:
        service_id = request.service_id if request.HasField("service_id") else None
        async with _closing(self._control.watch(service_id)) as updates:
            async for update in updates:
                yield self._packed.bytes_of(update)

    async def list_runs(self, request: Empty) -> pb.ListRunsResponse:
        runs = await self._control.runs()
        return pb.ListRunsResponse(runs=[RUN_INFO.pack(run) for run in runs])

    async def list_searches(self, request: Empty) -> pb.ListSearchesResponse:
        searches = await self._control.searches()
        return pb.ListSearchesResponse(searches=[SEARCH.pack(search) for search in searches])

    async def label_run(self, request: pb.LabelRunRequest) -> Empty:
        await self._control.label_run(
            request.name,
            title=request.title if request.HasField("title") else None,
            note=request.note if request.HasField("note") else None,
        )
        return Empty()

    async def delete_run(self, request: pb.DeleteRunRequest) -> Empty:
        await self._control.delete_run(request.name)
        return Empty()

    async def get_run(self, request: pb.GetRunRequest) -> AsyncGenerator[bytes]:
        record = await self._control.run(request.name)
        yield RECORD.pack(msgspec.structs.replace(record, points=())).SerializeToString()
        for first in range(0, len(record.points), _POINTS_A_PART):
            points = record.points[first : first + _POINTS_A_PART]
            part = pb.RunRecord(points=[POINT.pack(point) for point in points])
            yield part.SerializeToString()


async def _abort(context: _Context, error: TailraceError) -> NoReturn:
    """Answer with the error's status, its line and its name."""
    kind = next((kind for kind in CODES if isinstance(error, kind)), type(error))
    line = str(error)
    if len(quote(line, safe=string.printable)) > _LONGEST_LINE:
        # What is wrong stands at its beginning or its end; between them, what was given.
        line = f"{line[:200]} … {line[-200:]}"
    code = CODES.get(kind, grpc.StatusCode.INTERNAL)
    await context.abort(code, line, ((ERROR_KEY, kind.__name__),))


@contextlib.asynccontextmanager
async def _closing(items: AsyncIterator[Any]) -> AsyncIterator[AsyncIterator[Any]]:
    """Closes a generator at once when its reader has gone, rather than when it is collected."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
