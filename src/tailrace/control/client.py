"""A control room elsewhere, steered as if it were here: over gRPC or REST, awaited or not.

Nothing here decides anything: each method is one call, and each refusal comes back as the very
exception that the controller raised.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import os
import re
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import msgspec

from tailrace.control.interface import (
    METHODS,
    LoadControl,
    SearchProgress,
    Update,
    WaitingControl,
)
from tailrace.control.methods import Method
from tailrace.errors import TailraceError, UsageError
from tailrace.net import trusting

_ADDRESS = re.compile(r"(?:(grpcs?|https?)://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+)(?::(\d{1,5}))?/?")
_RPC_PORT = 2222

T = TypeVar("T")


class UnreachableError(TailraceError):
    """No control room answers, or it has gone away."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"no control room answers at {address}: {reason}")


class TokenError(TailraceError):
    """The control room asks for a token, or for another one."""

    def __init__(self, address: str, *, given: bool) -> None:
        said = "does not accept this token" if given else "asks for a token: set TAILRACE_TOKEN"
        super().__init__(f"the control room at {address} {said}")


class Transport(Protocol):
    """Carries a request of a method to a control room, and what comes of it back."""

    async def ask(self, method: Method, request: msgspec.Struct | None) -> Any:
        """The answer."""

    def stream(self, method: Method, request: msgspec.Struct | None) -> AsyncGenerator[Any, None]:
        """Each thing that a method yields."""

    async def close(self) -> None:
        """Hang up; streams end."""


class RemoteControl(LoadControl):
    """A control room elsewhere, as an asynchronous context manager; use it on one event loop.

    Besides what LoadControl says every method raises UnreachableError where no control room
    answers, `watch` also when it goes away; and TokenError where it asks for another token.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up; streams end."""
        await self._transport.close()


def _remote(method: Method) -> Callable[..., Any]:
    async def ask(self: RemoteControl, *given: Any, **named: Any) -> Any:
        return await self._transport.ask(method, method.bind(*given, **named))

    async def stream(self: RemoteControl, *given: Any, **named: Any) -> AsyncGenerator[Any, None]:
        request = method.bind(*given, **named)
        async with contextlib.aclosing(self._transport.stream(method, request)) as items:
            async for item in items:
                yield item

    return stream if method.streams else ask


for _method in METHODS:
    _function = functools.wraps(getattr(LoadControl, _method.name))(_remote(_method))
    setattr(RemoteControl, _method.name, _function)


class _ClosedError(RuntimeError):
    """Asked after `close`, or ended by it."""


class SyncControl(WaitingControl):
    """LoadControl for plain scripts: each method waits for the answer, what streams is an iterator.

    It talks in a thread of its own, which ends with `close`.
    """

    def __init__(self, remote: RemoteControl) -> None:
        self._remote = remote
        self._streams: set[AsyncGenerator[Any, None]] = set()
        self._closed = False
        self._asking = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        # Not later: a script that ends with a stream open would wait for a thread that is gone.
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, *given: Any, **named: Any) -> Any:
        return self._wait(getattr(self._remote, method)(*given, **named))

    def watch(self, service_id: str | None = None) -> Iterator[Update]:
        """As LoadControl's."""
        return self._iterate(self._remote.watch(service_id))

    def find(
        self,
        service_id: str,
        slo: tuple[str, ...] = (),
        duration_s: float = 60.0,
        highest_per_s: float = 1e6,
    ) -> Iterator[SearchProgress]:
        """As LoadControl's."""
        return self._iterate(self._remote.find(service_id, slo, duration_s, highest_per_s))

    def _iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        self._streams.add(items)
        reading: asyncio.Task[Any] | None = None

        async def read() -> T | None:
            nonlocal reading
            reading = asyncio.current_task()
            return await anext(items, None)

        async def end() -> None:
            # A thread that is interrupted may leave it reading.
            if reading is not None and not reading.done():
                reading.cancel()
                await asyncio.wait({reading})
            await items.aclose()

        with contextlib.suppress(_ClosedError):
            try:
                while (item := self._wait(read())) is not None:
                    yield item
            finally:
                self._streams.discard(items)
                self._wait(end())

    def close(self) -> None:
        """Hang up; streams end, whichever thread reads them."""
        with self._asking:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop):
            self._loop.run_forever()

    def _wait(self, answer: Coroutine[Any, Any, T]) -> T:
        # Nothing is asked after it closes, and what was before is ended by that.
        with self._asking:
            if self._closed:
                answer.close()
                raise _ClosedError("this connection to a control room is closed")
            future = asyncio.run_coroutine_threadsafe(answer, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise
        except concurrent.futures.CancelledError:
            raise _ClosedError("this connection to a control room was closed") from None

    async def _hang_up(self) -> None:
        asked = asyncio.all_tasks() - {asyncio.current_task()}
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        for items in list(self._streams):
            await items.aclose()
        await self._remote.close()


def connect(
    address: str, *, token: str | None = None, ca_file: str | Path | None = None
) -> RemoteControl:
    """The control room at `address`; nothing is sent before the first method is called.

    `host:2222` or `grpc://host:2222` speak gRPC, `http://host:8080` REST; `grpcs://` and `https://`
    do so over TLS, as `host:2222` does with a `ca_file`: certificates to trust (PEM) instead of the
    usual ones. Without a `token` it is $TAILRACE_TOKEN, if that is set.

    Raises:
        UsageError: the address, the token or the file cannot be used.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(f"{address!r} is no address: give host:2222 or http://host:8080")
    scheme, host, port = match.groups()
    token = token or os.environ.get("TAILRACE_TOKEN") or None
    if token is not None and not (token.isascii() and token.isprintable()):
        raise UsageError("the token must be printable ASCII, as it travels in a header")
    secure = scheme in ("https", "grpcs") or (scheme is None and ca_file is not None)
    if ca_file is not None and not secure:
        raise UsageError(f"{address} is not encrypted, so a ca_file is of no use to it")
    tls = trusting(ca_file) if secure else None
    transport: Transport
    if scheme in ("http", "https"):
        from tailrace.control.faces.rest_client import RestTransport

        transport = RestTransport(address.rstrip("/"), token, tls)
    else:
        from tailrace.control.faces.rpc.client import RpcTransport

        roots = Path(ca_file).read_bytes() if ca_file is not None else None
        transport = RpcTransport(f"{host}:{port or _RPC_PORT}", token, tls=secure, roots=roots)
    # Its methods are made from LoadControl's, which mypy does not see.
    return RemoteControl(transport)  # type: ignore[abstract]


def connect_sync(
    address: str, *, token: str | None = None, ca_file: str | Path | None = None
) -> SyncControl:
    """As `connect`, for plain scripts: no method is awaited, what streams is an iterator."""
    return SyncControl(connect(address, token=token, ca_file=ca_file))
