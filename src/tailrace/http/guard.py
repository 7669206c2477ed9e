"""Bounds on what clients can take of a process: the length and pace of requests, the memory of
their bodies, the connections that are open.

No request is timed: every two seconds each connection is asked what it waits for, and one that has
waited too long is closed. `tailrace.http.connection` is one of them.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import resource
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import uvicorn
from starlette.responses import Response
from uvicorn.server import ServerState

from tailrace.http.connection import Connection
from tailrace.http.handshake import Handshake

Refuse: TypeAlias = Callable[[int, str, Mapping[str, str]], Response]
"""Makes a server's own answer of a status, a line for a person and headers."""

_EVICTED_SHARE = 1 / 16
# Connections that are looked at in one go, so that no request waits for thousands of looks.
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What is granted to clients."""

    head_bytes: int = 64 * 2**10
    """Of request line and headers, or of what comes between two bytes of a body, such as chunk
    extensions. Counting is by slices, so up to 16 KiB more may pass."""
    headers: int = 1000
    head_s: float = 10.0
    """From connecting, or the first byte of a later request, to the end of the head."""
    pace_bytes: int = 32 * 2**10
    pace_s: float = 30.0
    """So much of a body, or the rest of it, must come in this time, and of an answer be taken."""
    close_s: float = 10.0
    """After the last answer, for the client to see it and close."""
    bodies_bytes: int = 2**30
    """Of all requests in a process that are not answered yet; who sends more is refused."""
    connections: int = 8192
    """Open at once in a process. Further ones close those that have long waited for a request."""
    other_files: int = 256
    """What the process has open besides them."""
    look_s: float = 2.0
    """How often connections are looked at. Times are kept to this."""
    quiet_s: float = 1.0
    """Without a request for so long, a connection of a server that stops is closed."""


_DRAINING_LOOK_S = 0.1
_DRAINING_CLOSE_S = 2.0


class Guard:
    """The connections of a process."""

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        refuse: Refuse,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Serves the application of `config`, keeping the connections in `state` as uvicorn does.

        What breaks the limits, or HTTP, is answered by `refuse`. With `tls` it serves over TLS, of
        which `config` is to know nothing. Raises the number of files this
        process may open, as far as it may, to fit `limits`.
        """
        self.limits = limits or Limits()
        self.refuse = refuse
        self.refused = 0
        """Requests that were refused, so far."""
        self.bodies_bytes = 0
        """Of bodies at hand."""
        self.draining = False
        """Whether the answers to come are the last of their connections."""
        self._config = config
        self._state = state
        self._tls = tls
        self.connections: set[Any] = state.connections
        """All that are open: uvicorn's own set."""
        self._room = _room(self.limits)
        self._timer: asyncio.TimerHandle | None = None
        self._round: list[Connection | Handshake] = []
        self._between_s = 0.0

    def connect(self) -> asyncio.Protocol:
        """The protocol for a new connection."""
        return self.connection() if self._tls is None else Handshake(self, self._tls)

    def connection(self) -> Connection:
        """The protocol for one that is ready for requests."""
        return Connection(self, self._config, self._state)

    def admit(self) -> bool:
        """Whether one more connection may stay; closes others for it, if need be and some can."""
        if self._timer is None:
            self._look_later(self.limits.look_s)
        if len(self.connections) < self._room:
            return True
        waiting = [each for each in self._guarded() if each.is_spare]
        count = math.ceil(len(waiting) * _EVICTED_SHARE)
        for each in heapq.nlargest(count, waiting, key=lambda each: each.looks):
            each.transport.close()
        return bool(waiting)

    def drain(self) -> None:
        """Has each connection, those to come as well, end with the answer to what has come on it;
        those without a request are closed once they have been still for a while."""
        self.draining = True
        self.limits = replace(
            self.limits,
            look_s=min(self.limits.look_s, _DRAINING_LOOK_S),
            close_s=min(self.limits.close_s, _DRAINING_CLOSE_S),
        )
        for each in self._guarded():
            each.shutdown()
        if self._timer is not None:
            self._timer.cancel()
            self._round.clear()
            self._look_later(self.limits.look_s)

    def _guarded(self) -> list[Connection | Handshake]:
        # All but those that have become websockets.
        return [each for each in self.connections if isinstance(each, Connection | Handshake)]

    def _look_later(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        if not self._round:
            self._round = self._guarded()
            batches = max(1, math.ceil(len(self._round) / _BATCH))
            self._between_s = self.limits.look_s / batches
        for _ in range(min(_BATCH, len(self._round))):
            each = self._round.pop()
            if each in self.connections:
                each.look()
        self._timer = None
        if self.connections:
            self._look_later(self._between_s)


def _room(limits: Limits) -> int:
    # How many connections there are files for, as many as that if it can be had.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + limits.other_files
    if 0 <= soft < wanted:
        soft = wanted if hard < 0 else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < 0:
        return limits.connections
    # Where there are few, one half is theirs.
    return max(1, min(limits.connections, max(soft - limits.other_files, soft // 2)))
