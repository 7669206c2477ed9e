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
import ctypes
import socket
import struct
import time
from collections.abc import Callable

_RETRY_S = 0.005
_MANY = 64
# So long after the last SYN was taken, a handshake may still end with its ACK.
_HANDSHAKE_S = 0.1
_SO_ATTACH_FILTER = 26
# Of the packets of a TCP socket, which begin with their header, drop those with SYN (bpf(2)'s
# classic form: code, jump if true, jump if false, operand).
_NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 2**32 - 1))


class Dealer:
    """Deals the connections of a listening socket to worker processes. Of one event loop."""

    def __init__(self, listener: socket.socket) -> None:
        """Deals nothing until there is a worker; until then connections wait in the kernel."""
        listener.setblocking(False)
        self._listener = listener
        self._ready: list[socket.socket] = []
        self._starting: list[socket.socket] = []
        self._turn = 0
        self._undealt: socket.socket | None = None
        self._listening = False
        self._closing = False
        self._retry: asyncio.TimerHandle | None = None

    def add(self, worker: socket.socket, ready: bool) -> None:
        """Gives `worker`, the parent's end of a socket pair, a place in the round: among those
        that are ready, or those that can answer health checks alone as yet, whose turn comes
        only if none is ready."""
        self.remove(worker)
        worker.setblocking(False)
        (self._ready if ready else self._starting).append(worker)
        if self._retry is None:
            self._listen(True)

    def remove(self, worker: socket.socket) -> None:
        """Takes `worker` out of the round, if it has a place there."""
        for workers in (self._ready, self._starting):
            if worker in workers:
                workers.remove(worker)
        if not self._ready and not self._starting:
            self._listen(False)

    async def close(self, timeout_s: float) -> None:
        """Closes the listening socket once all that have connected are dealt: closed before, it
        would reset them, and the requests on them. Those that no worker takes within `timeout_s`
        are reset."""
        self._listen(False)
        # A worker may still come: it gets what waits, and nothing is listened for.
        self._closing = True
        if self._retry is not None:
            self._retry.cancel()
        _take_no_more(self._listener)
        ends_s = time.monotonic() + _HANDSHAKE_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(timeout_s, _HANDSHAKE_S)):
                while not self._deal_waiting() or time.monotonic() < ends_s:
                    await asyncio.sleep(_RETRY_S)
        self._listener.close()
        if self._undealt is not None:
            self._undealt.close()

    def _listen(self, listening: bool) -> None:
        if listening == self._listening or self._closing:
            return
        self._listening = listening
        loop = asyncio.get_running_loop()
        if listening:
            loop.add_reader(self._listener, self._accept)
        else:
            loop.remove_reader(self._listener)

    def _accept(self) -> None:
        if not self._deal_waiting():
            self._listen(False)
            self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self._accept_again)

    def _accept_again(self) -> None:
        self._retry = None
        if self._ready or self._starting:
            self._listen(True)
            self._accept()

    def _deal_waiting(self) -> bool:
        # Whether none is left that could not be accepted or dealt.
        while True:
            if self._undealt is None:
                try:
                    self._undealt, _ = self._listener.accept()
                except BlockingIOError:
                    return True
                except OSError:
                    # The client has gone already, or this process is out of files.
                    return False
            if not self._deal(self._undealt):
                return False
            self._undealt.close()
            self._undealt = None

    def _deal(self, connection: socket.socket) -> bool:
        workers = self._ready or self._starting
        for _ in range(len(workers)):
            self._turn = (self._turn + 1) % len(workers)
            # A worker that died just now, or is so busy that its pipe is full, is passed over.
            with contextlib.suppress(OSError):
                socket.send_fds(workers[self._turn], [b"c"], [connection.fileno()])
                return True
        return False


def _take_no_more(listener: socket.socket) -> None:
    # Connections that the kernel would accept from now on would be reset with their requests.
    program = b"".join(struct.pack("HBBI", *line) for line in _NO_SYN)
    held = ctypes.create_string_buffer(program)
    option = struct.pack("HP", len(_NO_SYN), ctypes.addressof(held))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, option)


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
