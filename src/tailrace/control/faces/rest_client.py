"""LoadControl over REST: each method one request; what streams is read as server-sent events."""

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from math import isfinite
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from tailrace.control.client import TokenError, UnreachableError
from tailrace.control.interface import UnknownRunError, UnknownServiceError
from tailrace.control.methods import ErrorAnswer, Method, decode, encode, fields_of
from tailrace.errors import TailraceError, UsageError, known

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


class RestTransport:
    """Reaches a control room whose page is at `base`, `http://host:port`.

    `tls` is for an https:// base.
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
            base_url=f"{base}/api",
            headers={"Authorization": f"Bearer {token}"} if token is not None else {},
            transport=transport,
            timeout=_TIMEOUT,
            trust_env=False,
        )

    async def close(self) -> None:
        """Hang up; streams end."""
        await self._http.aclose()

    async def ask(self, method: Method, request: msgspec.Struct | None) -> Any:
        """See Transport."""
        path, body = _target(method, request)
        # A POST may wait for all that is in flight, or for workers to start.
        timeout = _PATIENT if method.verb == "POST" else _TIMEOUT
        try:
            answer = await self._http.request(method.verb, path, content=body, timeout=timeout)
        except httpx.TransportError as error:
            raise UnreachableError(self._base, _reason(error)) from None
        if not answer.is_success:
            raise self._refused(answer, answer.content)
        return self._read(answer.content, method) if method.status != 204 else None

    async def stream(
        self, method: Method, request: msgspec.Struct | None
    ) -> AsyncGenerator[Any, None]:
        """See Transport."""
        path, body = _target(method, request)
        try:
            async with self._http.stream(method.verb, path, content=body) as answer:
                if not answer.is_success:
                    raise self._refused(answer, await answer.aread())
                async with aclosing(_events(answer)) as events:
                    async for event, data in events:
                        match event:
                            case b"end":
                                return
                            case b"error":
                                raise self._refused(answer, data)
                            case _:
                                yield self._read(data, method)
        except httpx.TransportError as error:
            raise UnreachableError(self._base, _reason(error)) from None
        raise UnreachableError(self._base, "the stream has ended")

    def _read(self, data: bytes, method: Method) -> Any:
        try:
            return decode(data, method.answer)
        except msgspec.DecodeError as error:
            raise TailraceError(f"{self._base} answers what cannot be read: {error}") from None

    def _refused(self, answer: httpx.Response, data: bytes) -> TailraceError:
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            return TokenError(self._base, given=self._token is not None)
        try:
            refusal = decode(data, ErrorAnswer)
        except msgspec.DecodeError:
            return TailraceError(
                f"what answers at {self._base} is no control room: HTTP {answer.status_code}"
            )
        return known(refusal.type)(refusal.error)


async def _events(answer: httpx.Response) -> AsyncGenerator[tuple[bytes, bytes], None]:
    """Kind and data of each server-sent event. httpx's own lines also end where JSON's do not."""
    rest, kind = b"", b""
    async for chunk in answer.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"event: "):
                kind = line[7:]
            elif line.startswith(b"data:"):
                yield kind, line[5:].lstrip()
                kind = b""


def _target(method: Method, request: msgspec.Struct | None) -> tuple[str, bytes | None]:
    """The path below `/api`, and the body."""
    fields = fields_of(request) if request is not None else {}
    for name, value in fields.items():
        # JSON cannot say these.
        if isinstance(value, float) and not isfinite(value):
            raise UsageError(f"the {name} must be a finite number, not {value}")
    path = method.paths[0]
    for name, unknown in (("id", UnknownServiceError), ("name", UnknownRunError)):
        if f"{{{name}}}" not in path:
            continue
        value = fields.pop(name)
        if value is None:
            path = method.paths[-1]
        elif value in ("", ".", "..") or "/" in value:
            # In a path these would mean something else.
            raise unknown(f"nothing can be called {value!r}")
        else:
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path, encode(fields) if fields else None


def _reason(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__
