"""Sharing connections out among worker processes, one by one, in turn.

The parent accepts and passes each connection on to the next ready worker (SCM_RIGHTS, unix(7)).
Workers that accept from one shared socket race for it, and connections that are then kept alive
stay where the race put them: of 64 opened a millisecond apart, one of two workers had 61. With a
socket each (SO_REUSEPORT) the kernel deals them by a hash: 16 come out 11 to 5 or worse one time
in five, and a dead worker's wait for its successor. In turn they come out even, for a few system
calls a connection and none a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

_RETRY_S = 0.005
_MANY = 64


class Dealer:
    """Deals the connections of a listening socket to worker processes."""

    def __init__(self, listener: socket.socket) -> None:
        """Deals nothing until there is a worker; until then connections wait in the backlog."""
        listener.setblocking(False)
        self._listener = listener
        self._ready: list[socket.socket] = []
        self._starting: list[socket.socket] = []
        self._some = asyncio.Event()
        self._turn = 0

    def add(self, worker: socket.socket, ready: bool) -> None:
        """Gives `worker`, the parent's end of a socket pair, a place in the round: among those
        that are ready, or those that can answer health checks alone as yet, whose turn comes
        only if none is ready."""
        self.remove(worker)
        worker.setblocking(False)
        (self._ready if ready else self._starting).append(worker)
        self._some.set()

    def remove(self, worker: socket.socket) -> None:
        """Takes `worker` out of the round, if it has a place there."""
        for workers in (self._ready, self._starting):
            if worker in workers:
                workers.remove(worker)
        if not self._ready and not self._starting:
            self._some.clear()

    async def run(self) -> None:
        """Accepts and deals until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._some.wait()
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError:
                # The client has gone already, or this process is out of files for the moment.
                await asyncio.sleep(_RETRY_S)
                continue
            with connection:
                while not self._deal(connection):
                    await asyncio.sleep(_RETRY_S)

    def _deal(self, connection: socket.socket) -> bool:
        workers = self._ready or self._starting
        for _ in range(len(workers)):
            self._turn = (self._turn + 1) % len(workers)
            # A worker that died just now, or is so busy that its pipe is full, is passed over.
            with contextlib.suppress(OSError):
                socket.send_fds(workers[self._turn], [b"c"], [connection.fileno()])
                return True
        return False


def receive(parent: socket.socket, take: Callable[[socket.socket], None]) -> bool:
    """Calls `take` with each connection that has been dealt; False once the parent has gone."""
    try:
        data, files, _, _ = socket.recv_fds(parent, _MANY, _MANY)
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    for file in files:
        take(socket.socket(fileno=file))
    return bool(data)
