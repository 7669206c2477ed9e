"""LoadControl over REST: each method one request; `watch` reads server-sent events."""

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from math import isfinite
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from tailrace.control.client.errors import token_error, unreachable
from tailrace.control.config import ServiceConfig
from tailrace.control.faces.answers import ErrorAnswer
from tailrace.control.interface import (
    RunInfo,
    RunRecord,
    SearchInfo,
    ServiceInfo,
    UnknownRunError,
    UnknownServiceError,
    Update,
    Window,
)
from tailrace.control.json_codec import decode, encode
from tailrace.errors import TailraceError, UsageError, known
from tailrace.load.measure.point import Point

_TIMEOUT = httpx.Timeout(30, connect=5)
"""A stream tells of itself every 10 s."""
_PATIENT = httpx.Timeout(None, connect=5)
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
_LIMITS = httpx.Limits(
    max_connections=None,
    # Shorter than a control room keeps an idle connection, lest it close one just as it is used.
    keepalive_expiry=60,
)

AnswerT = TypeVar("AnswerT")


class RestControl:
    """A control room whose page is at `base`, `http://host:port`; use it on one event loop.

    Every method raises as LoadControl says, and UnreachableError or TokenError. `tls` is for an
    https:// base.
    """

    def __init__(self, base: str, token: str | None, tls: ssl.SSLContext | None) -> None:
        self._base = base
        self._token = token
        transport = httpx.AsyncHTTPTransport(
            # Of no account where nothing is encrypted; its default takes long to make.
            verify=tls if tls is not None else False,
            limits=_LIMITS,
            socket_options=_KEEPALIVE,
        )
        self._http = httpx.AsyncClient(
            base_url=f"{base}/api/",
            headers={"Authorization": f"Bearer {token}"} if token is not None else {},
            transport=transport,
            timeout=_TIMEOUT,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up; streams end."""
        await self._http.aclose()

    async def list(self) -> list[ServiceInfo]:
        """See LoadControl."""
        return await self._ask("GET", "services", list[ServiceInfo])

    async def get(self, service_id: str) -> ServiceInfo:
        """See LoadControl."""
        return await self._ask("GET", _service(service_id), ServiceInfo)

    async def config(self, service_id: str) -> ServiceConfig:
        """See LoadControl."""
        return await self._ask("GET", f"{_service(service_id)}/config", ServiceConfig)

    async def add(self, config: ServiceConfig) -> ServiceInfo:
        """See LoadControl."""
        return await self._ask("POST", "services", ServiceInfo, config)

    async def change(self, config: ServiceConfig) -> ServiceInfo:
        """See LoadControl."""
        return await self._ask("PUT", _service(config.id), ServiceInfo, config)

    async def remove(self, service_id: str) -> None:
        """See LoadControl."""
        await self._request("DELETE", _service(service_id))

    async def start(self, service_id: str, rate_per_s: float | None = None) -> ServiceInfo:
        """See LoadControl."""
        rate = _rate(rate_per_s) if rate_per_s is not None else None
        return await self._ask(
            "POST", f"{_service(service_id)}/start", ServiceInfo, {"rate": rate}, _PATIENT
        )

    async def stop(self, service_id: str) -> ServiceInfo:
        """See LoadControl."""
        return await self._ask("POST", f"{_service(service_id)}/stop", ServiceInfo, None, _PATIENT)

    async def set_rate(self, service_id: str, rate_per_s: float) -> ServiceInfo:
        """See LoadControl."""
        body = {"rate": _rate(rate_per_s)}
        return await self._ask("PUT", f"{_service(service_id)}/rate", ServiceInfo, body)

    async def set_profile(self, service_id: str, profile: str) -> ServiceInfo:
        """See LoadControl."""
        body = {"profile": profile}
        return await self._ask("PUT", f"{_service(service_id)}/profile", ServiceInfo, body)

    async def latest(self, service_id: str) -> Point | None:
        """See LoadControl."""
        data = await self._request("GET", f"{_service(service_id)}/latest")
        return self._read(data, Point) if data != b"null" else None

    async def window(self, service_id: str) -> Window:
        """See LoadControl."""
        return await self._ask("GET", f"{_service(service_id)}/window", Window)

    async def watch(self, service_id: str | None = None) -> AsyncGenerator[Update, None]:
        """See LoadControl."""
        path = "stream" if service_id is None else f"{_service(service_id)}/stream"
        try:
            async with self._http.stream("GET", path) as answer:
                if not answer.is_success:
                    raise self._refused(answer, await answer.aread())
                async with aclosing(_events(answer)) as events:
                    async for data in events:
                        update = self._read(data, Update)
                        yield update
                        if service_id is not None and update.service.state == "removed":
                            return
        except httpx.TransportError as error:
            raise unreachable(self._base, _reason(error)) from None
        raise unreachable(self._base, "the stream has ended")

    async def runs(self) -> tuple[RunInfo, ...]:
        """See LoadControl."""
        return await self._ask("GET", "runs", tuple[RunInfo, ...])

    async def run(self, name: str) -> RunRecord:
        """See LoadControl."""
        return await self._ask("GET", f"runs/{_segment(name, UnknownRunError)}", RunRecord)

    async def searches(self) -> tuple[SearchInfo, ...]:
        """See LoadControl."""
        return await self._ask("GET", "searches", tuple[SearchInfo, ...])

    async def label_run(
        self, name: str, *, title: str | None = None, note: str | None = None
    ) -> None:
        """See LoadControl."""
        label = {"title": title, "note": note}
        await self._request("PATCH", f"runs/{_segment(name, UnknownRunError)}", label)

    async def delete_run(self, name: str) -> None:
        """See LoadControl."""
        await self._request("DELETE", f"runs/{_segment(name, UnknownRunError)}")

    async def _ask(
        self,
        method: str,
        path: str,
        answer: type[AnswerT],
        body: object = None,
        timeout: httpx.Timeout = _TIMEOUT,
    ) -> AnswerT:
        return self._read(await self._request(method, path, body, timeout), answer)

    async def _request(
        self,
        method: str,
        path: str,
        body: object = None,
        timeout: httpx.Timeout = _TIMEOUT,
    ) -> bytes:
        content = encode(body) if body is not None else None
        try:
            answer = await self._http.request(method, path, content=content, timeout=timeout)
        except httpx.TransportError as error:
            raise unreachable(self._base, _reason(error)) from None
        if not answer.is_success:
            raise self._refused(answer, answer.content)
        return answer.content

    def _read(self, data: bytes, kind: type[AnswerT]) -> AnswerT:
        try:
            return decode(data, kind)
        except msgspec.DecodeError as error:
            raise TailraceError(f"{self._base} answers what cannot be read: {error}") from None

    def _refused(self, answer: httpx.Response, data: bytes) -> TailraceError:
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            return token_error(self._base, given=self._token is not None)
        try:
            refusal = decode(data, ErrorAnswer)
        except msgspec.DecodeError:
            return TailraceError(
                f"what answers at {self._base} is no control room: HTTP {answer.status_code}"
            )
        return known(refusal.type)(refusal.error)


async def _events(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The data of each server-sent event. httpx's own lines also end where JSON's do not."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                yield line[6:]


def _service(service_id: str) -> str:
    return f"services/{_segment(service_id, UnknownServiceError)}"


def _segment(name: str, unknown: type[TailraceError]) -> str:
    # In a path these would mean something else.
    if name in ("", ".", "..") or "/" in name:
        raise unknown(f"nothing can be called {name!r}")
    return quote(name, safe="")


def _rate(rate_per_s: float) -> float:
    # JSON cannot say these.
    if not isfinite(rate_per_s):
        raise UsageError(f"the rate must be a finite number, not {rate_per_s}")
    return rate_per_s


def _reason(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__
