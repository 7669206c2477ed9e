"""LoadControl over gRPC: each method one call, as tailrace.proto says it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from tailrace.control.client.errors import revive, token_error, unreachable
from tailrace.control.config import ServiceConfig
from tailrace.control.interface import (
    RunInfo,
    RunRecord,
    SearchInfo,
    ServiceInfo,
    Update,
    Window,
)
from tailrace.control.rpc import tailrace_pb2 as pb
from tailrace.control.rpc.wire import (
    CONFIG,
    ERROR_KEY,
    INFO,
    KEEPALIVE,
    POINT,
    RECORD,
    RUN_INFO,
    SEARCH,
    SERVICE,
    UPDATE,
    WINDOW,
)
from tailrace.errors import TailraceError
from tailrace.load.measure.point import Point

_OPTIONS = (
    *KEEPALIVE,
    # A window of an hour of intervals is one message.
    ("grpc.max_receive_message_length", 256 << 20),
    # A control room that comes back is found again within seconds.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_http_proxy", 0),
)

AnswerT = TypeVar("AnswerT", bound=Message)


class RpcControl:
    """A control room at `address`, `host:port`; use it on one event loop.

    Every method raises as LoadControl says, and UnreachableError or TokenError. With `tls` it
    trusts the certificates `roots` (PEM), or the usual ones.
    """

    def __init__(
        self, address: str, token: str | None, *, tls: bool = False, roots: bytes | None = None
    ) -> None:
        self._address = address
        self._metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        self._credentials = grpc.ssl_channel_credentials(roots) if tls else None
        self._opened: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up; streams end."""
        if self._opened is not None:
            await self._opened.close(None)

    async def list(self) -> list[ServiceInfo]:
        """See LoadControl."""
        answer = await self._call("List", Empty(), pb.ListResponse)
        return [INFO.unpack(service) for service in answer.services]

    async def get(self, service_id: str) -> ServiceInfo:
        """See LoadControl."""
        return await self._info("Get", pb.ServiceRequest(service_id=service_id))

    async def config(self, service_id: str) -> ServiceConfig:
        """See LoadControl."""
        request = pb.ServiceRequest(service_id=service_id)
        return CONFIG.unpack(await self._call("GetConfig", request, pb.ServiceConfig))

    async def add(self, config: ServiceConfig) -> ServiceInfo:
        """See LoadControl."""
        return await self._info("Add", CONFIG.pack(config))

    async def change(self, config: ServiceConfig) -> ServiceInfo:
        """See LoadControl."""
        return await self._info("Change", CONFIG.pack(config))

    async def remove(self, service_id: str) -> None:
        """See LoadControl."""
        await self._call("Remove", pb.ServiceRequest(service_id=service_id), Empty)

    async def start(self, service_id: str, rate_per_s: float | None = None) -> ServiceInfo:
        """See LoadControl."""
        request = pb.StartRequest(service_id=service_id, rate_per_s=rate_per_s)
        return await self._info("Start", request)

    async def stop(self, service_id: str) -> ServiceInfo:
        """See LoadControl."""
        return await self._info("Stop", pb.ServiceRequest(service_id=service_id))

    async def set_rate(self, service_id: str, rate_per_s: float) -> ServiceInfo:
        """See LoadControl."""
        request = pb.SetRateRequest(service_id=service_id, rate_per_s=rate_per_s)
        return await self._info("SetRate", request)

    async def set_profile(self, service_id: str, profile: str) -> ServiceInfo:
        """See LoadControl."""
        request = pb.SetProfileRequest(service_id=service_id, profile=profile)
        return await self._info("SetProfile", request)

    async def latest(self, service_id: str) -> Point | None:
        """See LoadControl."""
        request = pb.ServiceRequest(service_id=service_id)
        answer = await self._call("Latest", request, pb.LatestResponse)
        return POINT.unpack(answer.point) if answer.HasField("point") else None

    async def window(self, service_id: str) -> Window:
        """See LoadControl."""
        request = pb.ServiceRequest(service_id=service_id)
        return WINDOW.unpack(await self._call("GetWindow", request, pb.Window))

    async def watch(self, service_id: str | None = None) -> AsyncGenerator[Update, None]:
        """See LoadControl."""
        request = pb.WatchRequest(service_id=service_id)
        async with aclosing(self._stream("Watch", request, pb.Update)) as updates:
            async for update in updates:
                yield UPDATE.unpack(update)

    async def runs(self) -> tuple[RunInfo, ...]:
        """See LoadControl."""
        answer = await self._call("ListRuns", Empty(), pb.ListRunsResponse)
        return tuple(RUN_INFO.unpack(run) for run in answer.runs)

    async def run(self, name: str) -> RunRecord:
        """See LoadControl."""
        record = pb.RunRecord()
        async for part in self._stream("GetRun", pb.GetRunRequest(name=name), pb.RunRecord):
            record.MergeFrom(part)
        return RECORD.unpack(record)

    async def searches(self) -> tuple[SearchInfo, ...]:
        """See LoadControl."""
        answer = await self._call("ListSearches", Empty(), pb.ListSearchesResponse)
        return tuple(SEARCH.unpack(search) for search in answer.searches)

    async def label_run(
        self, name: str, *, title: str | None = None, note: str | None = None
    ) -> None:
        """See LoadControl."""
        request = pb.LabelRunRequest(name=name, title=title, note=note)
        await self._call("LabelRun", request, Empty)

    async def delete_run(self, name: str) -> None:
        """See LoadControl."""
        await self._call("DeleteRun", pb.DeleteRunRequest(name=name), Empty)

    @property
    def _channel(self) -> grpc.aio.Channel:
        # Not before there is an event loop for it to belong to.
        if self._opened is None:
            if self._credentials is None:
                self._opened = grpc.aio.insecure_channel(self._address, _OPTIONS)
            else:
                self._opened = grpc.aio.secure_channel(self._address, self._credentials, _OPTIONS)
        return self._opened

    async def _info(self, name: str, request: Message) -> ServiceInfo:
        return INFO.unpack(await self._call(name, request, pb.ServiceInfo))

    async def _call(self, name: str, request: Message, answer: type[AnswerT]) -> AnswerT:
        call = self._channel.unary_unary(
            _path(name), type(request).SerializeToString, answer.FromString
        )
        try:
            given: AnswerT = await call(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise self._translate(error) from None
        return given

    async def _stream(
        self, name: str, request: Message, answer: type[AnswerT]
    ) -> AsyncGenerator[AnswerT, None]:
        call = self._channel.unary_stream(
            _path(name), type(request).SerializeToString, answer.FromString
        )(request, metadata=self._metadata)
        try:
            async for part in call:
                yield part
        except grpc.aio.AioRpcError as error:
            raise self._translate(error) from None
        finally:
            call.cancel()

    def _translate(self, error: grpc.aio.AioRpcError) -> TailraceError:
        code, line = error.code(), error.details() or ""
        # The stubs take it for the synchronous kind.
        metadata: Any = error.trailing_metadata()
        if ERROR_KEY in metadata:
            return revive(metadata[ERROR_KEY], line)
        match code:
            case grpc.StatusCode.UNAUTHENTICATED:
                return token_error(self._address, given=bool(self._metadata))
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
                return unreachable(self._address, line.rpartition("last error: ")[2])
            case _:
                return TailraceError(f"the control room at {self._address}: {code.name}, {line}")


def _path(name: str) -> str:
    return f"/{SERVICE.full_name}/{name}"
