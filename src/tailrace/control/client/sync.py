"""A remote control room for plain scripts: the same methods, without await."""

import asyncio
import atexit
import contextlib
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, Self, TypeVar

from tailrace.control.client.remote import RemoteControl
from tailrace.control.interface import Update, WaitingControl

_NESTED = 16

T = TypeVar("T")


class _ClosedError(RuntimeError):
    """Asked after `close`."""


class SyncControl(WaitingControl):
    """A control room elsewhere; it talks in a thread of its own, which ends with `close`."""

    def __init__(self, remote: RemoteControl) -> None:
        self._remote = remote
        self._streams: set[_Stream] = set()
        self._closed = False
        self._asking = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        # Not later: a script that ends with a stream open would wait for a thread that is gone.
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        self._loop.close()

    def wait(self, method: str, *given: Any, **named: Any) -> Any:
        """What the method of that name answers."""
        return self._wait(getattr(self._remote, method)(*given, **named))

    def watch(self, service_id: str | None = None) -> Iterator[Update]:
        """See LoadControl."""
        stream = _Stream(self._remote.watch(service_id))
        self._streams.add(stream)
        with contextlib.suppress(_ClosedError):
            try:
                while (update := self._wait(stream.next())) is not None:
                    yield update
            finally:
                self._streams.discard(stream)
                self._wait(stream.close())

    def _wait(self, answer: Coroutine[Any, Any, T]) -> T:
        # What has been asked before it closes is answered or ended by that, and nothing is after.
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

    async def _hang_up(self) -> None:
        for stream in list(self._streams):
            await stream.close()
        await self._remote.close()
        # Generators within a stream end one after another, each in a task of its own.
        for _ in range(_NESTED):
            await asyncio.sleep(0)
            if left := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(left, timeout=1)


class _Stream:
    """Updates that one thread reads and any thread may end."""

    def __init__(self, updates: AsyncGenerator[Update, None]) -> None:
        self._updates = updates
        self._reading: asyncio.Future[Update | None] | None = None

    async def next(self) -> Update | None:
        """The next update; None at the end."""
        self._reading = asyncio.ensure_future(anext(self._updates, None))
        try:
            return await self._reading
        except asyncio.CancelledError:
            return None

    async def close(self) -> None:
        """End it, and whoever reads it."""
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            await asyncio.wait((self._reading,))
        await self._updates.aclose()
