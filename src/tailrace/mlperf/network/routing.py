"""Which node a query goes to, and what becomes of it there."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import cycle
from time import monotonic
from typing import Protocol

from tailrace.mlperf.network.answer import Answer, Failure, http_failure, shortened
from tailrace.mlperf.network.exchange import Buffers
from tailrace.mlperf.network.pool import UNSENT, Pool
from tailrace.mlperf.network.wire import AnswerError, Wire
from tailrace.mlperf.system import Query, Sink

SUSPECT_S = 1.0
"""How long a failure keeps queries away from a node."""


class Lane:
    """The way to one node."""

    __slots__ = ("failed_s", "pool", "unanswered", "wire")

    def __init__(self, pool: Pool, wire: Wire) -> None:
        self.pool = pool
        self.wire = wire
        self.unanswered = 0
        """Queries sent its way that have not ended; only where the router counts them."""
        self.failed_s: float | None = None
        """When the last query to end there failed (CLOCK_MONOTONIC), or one was sent since to try
        it out; None if that query was answered."""


class Router(Protocol):
    """Sends queries on their ways; lives on the event loop of the lanes."""

    def send(self, asked: Asked) -> None:
        """Sends a query, now or when its turn comes."""

    def ended(self, lane: Lane, success: bool) -> None:
        """A query sent this way has ended."""

    def close(self) -> None:
        """Fails what has not been sent."""


class Asked:
    """A query on its way. See `tailrace.mlperf.network.exchange.Exchange`."""

    __slots__ = ("_query", "_router", "_sink", "lane")

    lane: Lane

    def __init__(self, query: Query, sink: Sink, router: Router) -> None:
        """Its router sets `lane` before it is sent."""
        self._query = query
        self._sink = sink
        self._router = router

    def encode(self) -> Buffers:
        """See Exchange."""
        return self.lane.wire.encode(self._query.sample)

    def answered(self, answer: Answer) -> None:
        """See Exchange."""
        lane, query = self.lane, self._query
        failure = http_failure(lane.pool.authority, answer)
        if failure is None:
            try:
                record = lane.wire.decode(query.sample, answer)
            except AnswerError as error:
                message = shortened(f"{lane.pool.authority}: {error}")
                failure = Failure("protocol", message)
            else:
                self._router.ended(lane, True)
                self._sink.complete(query.id, record)
                return
        self.failed(failure)

    def failed(self, failure: Failure) -> None:
        """See Exchange."""
        self._router.ended(self.lane, False)
        self.drop(failure)

    def drop(self, failure: Failure) -> None:
        """It fails before it was sent."""
        self._sink.fail(self._query.id, failure.reason)


class RoundRobin:
    """Each node in turn, whatever it does."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = cycle(lanes)

    def send(self, asked: Asked) -> None:
        """See Router."""
        lane = asked.lane = next(self._lanes)
        lane.pool.send(asked)

    def ended(self, lane: Lane, success: bool) -> None:
        """See Router."""

    def close(self) -> None:
        """See Router: nothing waits here."""


class LeastOutstanding:
    """The node with the fewest unanswered queries; among equals, each in turn.

    Where all have `connections` of them, queries wait here, for the first node that gets on.

    A node that fails at once has the fewest, and would draw all queries to itself. So one whose
    last query failed gets none for `SUSPECT_S`, then a single one to try it out, and so on until
    one is answered; unless all nodes are like that.
    """

    def __init__(self, lanes: Sequence[Lane], connections: int) -> None:
        self._lanes = deque(lanes)
        self._connections = connections
        self._waiting: deque[Asked] = deque()

    def send(self, asked: Asked) -> None:
        """See Router."""
        self._waiting.append(asked)
        if len(self._waiting) == 1:
            self._send_on()

    def ended(self, lane: Lane, success: bool) -> None:
        """See Router."""
        lane.unanswered -= 1
        lane.failed_s = None if success else monotonic()
        self._send_on()

    def close(self) -> None:
        """See Router."""
        while self._waiting:
            self._waiting.popleft().drop(UNSENT)

    def _send_on(self) -> None:
        while self._waiting:
            now_s = monotonic()
            lane = self._best(now_s)
            if lane.unanswered >= self._connections:
                return
            if lane.failed_s is not None:
                lane.failed_s = now_s
            lane.unanswered += 1
            asked = self._waiting.popleft()
            asked.lane = lane
            lane.pool.send(asked)

    def _best(self, now_s: float) -> Lane:
        def burden(lane: Lane) -> tuple[bool, int]:
            suspect = lane.failed_s is not None and now_s - lane.failed_s < SUSPECT_S
            return suspect, lane.unanswered

        # Of equals, min takes the first.
        self._lanes.rotate(-1)
        return min(self._lanes, key=burden)
