"""A server of known behaviour: answers request k, in order of arrival, at a computed instant.

    python queue_server.py BEHAVIOUR.npz LOG.npy

serves HTTP/1.1 on a free port of 127.0.0.1, which it prints; it ends when its standard input does
and then leaves its log. One thread waits on epoll and one absolute timer. Arrivals are the kernel's
time stamps of the packets, so when an answer is due follows from the arrivals and the given service
times alone: that this process may wake up late changes nothing, as long as it is awake by then.
"""

import gc
import heapq
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from time import monotonic_ns

import numpy as np
from numpy.typing import NDArray

from tailrace.load.worker.pacer import TimerFd

_EARLY_NS = 150_000
"""How long before an answer is due the server is awake: longer than waking up takes."""
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close(2) send RST instead of FIN."""
_SO_TIMESTAMPNS = 35
"""Not in the socket module: with each read comes when the data arrived (socket(7))."""
_TIMESPEC = struct.Struct("qq")

ANSWERED, CLOSED, RESET = 0, 1, 2
"""What happens to a request when it is due."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the server does with request k, in order of arrival.

    `service_ns` int64 [n] is its service time and `fate` int8 [n] ANSWERED, CLOSED or RESET.
    `one_at_a_time`: it departs at max(arrival, previous departure) + service, otherwise at
    arrival + service. `stall_at_ns` after the first arrival the server does nothing at all, not
    even read, for `stall_ns`; what would depart in that time departs at its end.
    """

    service_ns: NDArray[np.int64]
    fate: NDArray[np.int8]
    one_at_a_time: bool = False
    stall_at_ns: int = 0
    stall_ns: int = 0


@dataclass(slots=True)
class _Peer:
    sock: socket.socket
    unread: bytearray = field(default_factory=bytearray)


class QueueServer:
    """Serves until standard input ends. `log` has a row a request, in order of arrival:
    [number that its body gave, arrival, due, write, fate], times in ns of CLOCK_MONOTONIC.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.log: list[list[int]] = []
        self._service_ns: list[int] = behaviour.service_ns.tolist()
        self._fate: list[int] = behaviour.fate.tolist()
        self._behaviour = behaviour
        self._stall_begins_ns = 0
        self._stall_ends_ns = 0
        self._departed_ns = 0
        self._due: list[tuple[int, int, _Peer]] = []
        self._peers: dict[int, _Peer] = {}
        self._timer = TimerFd()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        # Connections inherit it.
        self._listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        poll = select.epoll()
        for fd in (0, self._timer.fd, self._listener.fileno()):
            poll.register(fd, select.EPOLLIN)
        while True:
            for fd, _ in poll.poll(self._answer()):
                if fd == 0:
                    return
                if fd == self._timer.fd:
                    self._timer.acknowledge()
                elif fd == self._listener.fileno():
                    peer = _Peer(self._listener.accept()[0])
                    peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._peers[peer.sock.fileno()] = peer
                    poll.register(peer.sock.fileno(), select.EPOLLIN)
                else:
                    self._read(self._peers[fd])

    def _answer(self) -> int:
        """Answer what is due; what to wait with for the next: the timer (-1) or not at all (0)."""
        now = monotonic_ns()
        begins = self._stall_begins_ns
        if begins and now >= begins:
            now = self._stall()
            begins = 0
        while self._due and self._due[0][0] <= now:
            self._depart(*heapq.heappop(self._due)[1:])
            now = monotonic_ns()
        instants = ([self._due[0][0]] if self._due else []) + ([begins] if begins else [])
        if not instants:
            return -1
        if min(instants) - now < _EARLY_NS:
            return 0
        self._timer.arm(min(instants) - _EARLY_NS)
        return -1

    def _stall(self) -> int:
        self._stall_begins_ns = 0
        while (left_ns := self._stall_ends_ns - monotonic_ns()) > 0:
            time.sleep(left_ns / 1e9)
        return monotonic_ns()

    def _depart(self, k: int, peer: _Peer) -> None:
        row = self.log[k]
        row[3] = monotonic_ns()
        if peer.sock.fileno() < 0:
            # The client gave up.
            return
        if row[4] == ANSWERED:
            peer.sock.send(_OK)
            return
        if row[4] == RESET:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._drop(peer)

    def _read(self, peer: _Peer) -> None:
        try:
            data, ancillary, _, _ = peer.sock.recvmsg(65536, 64)
        except ConnectionError:
            data = b""
        if not data:
            self._drop(peer)
            return
        peer.unread += data
        head, end, body = peer.unread.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if end and len(body) >= length:
            peer.unread.clear()
            seconds, ns = _TIMESPEC.unpack(ancillary[0][2])
            stamp = seconds * 1_000_000_000 + ns
            self._arrive(int(body), stamp - _time_of_day_offset_ns(), peer)

    def _arrive(self, number: int, arrived_ns: int, peer: _Peer) -> None:
        k = len(self.log)
        behaviour = self._behaviour
        if k == 0 and behaviour.stall_ns:
            self._stall_begins_ns = arrived_ns + behaviour.stall_at_ns
            self._stall_ends_ns = self._stall_begins_ns + behaviour.stall_ns
        begins = max(arrived_ns, self._departed_ns) if behaviour.one_at_a_time else arrived_ns
        due = self._departed_ns = begins + self._service_ns[k]
        if self._stall_ends_ns - behaviour.stall_ns <= due < self._stall_ends_ns:
            due = self._stall_ends_ns
        self.log.append([number, arrived_ns, due, 0, self._fate[k]])
        heapq.heappush(self._due, (due, k, peer))

    def _drop(self, peer: _Peer) -> None:
        # Closing takes it out of the epoll set as well.
        del self._peers[peer.sock.fileno()]
        peer.sock.close()


def _time_of_day_offset_ns() -> int:
    # Interrupted between the two clocks a difference comes out too small.
    return max(time.time_ns() - monotonic_ns() for _ in range(3))


def main() -> None:
    """Serve as the first file says; write the log to the second."""
    with np.load(sys.argv[1]) as given:
        values = {name: array if array.ndim else array.item() for name, array in given.items()}
    server = QueueServer(Behaviour(**values))
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    # A collection would make answers late; nothing here runs long enough to need one.
    gc.disable()
    server.serve()
    np.save(sys.argv[2], np.array(server.log, dtype=np.int64).reshape(-1, 5))


if __name__ == "__main__":
    main()
