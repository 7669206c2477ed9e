"""Which requests go where, and which of them each arrival sends; the schedule says when."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.load.client.request import Body, Headers, Request, encode_requests
from tailrace.load.client.target import Endpoint, Tls, parse_target
from tailrace.load.schedule.arrivals import share

CHUNK = 1024
"""Turns drawn at a time: some 50 µs of work. Part of what a seed means: another size is another
sequence."""
_STREAM = 0x7461726765
"""Keeps these draws apart from those of the arrivals, which have the same seed."""

Numbers = NDArray[np.intp]
T = TypeVar("T")


class Turns(msgspec.Struct, frozen=True):
    """The rule by which requests take turns.

    A request is numbered within all targets' requests laid end to end. Arrival n goes to target i
    with a chance in proportion to `weights[i]`, independent of all others; the `counts[i]` requests
    of target i then come in their order, over and over, or are drawn evenly, each independent of
    those before it.
    """

    counts: tuple[int, ...]
    weights: tuple[float, ...]
    order: str = "sequential"
    """Or `random`."""

    def chunks(self, seed: int) -> Iterator[Numbers]:
        """Endless consecutive chunks, intp [CHUNK], of the request of arrival 0, 1, 2, …

        The same seed gives the same chunks.
        """
        draw = np.random.Generator(np.random.PCG64([seed, _STREAM]))
        counts = np.array(self.counts)
        starts = np.cumsum([0, *self.counts[:-1]])
        # The last bound is no sum, whose rounding could leave a draw beyond it.
        bounds = np.cumsum(self.weights)[:-1] / np.sum(self.weights)
        sent = np.zeros(len(counts), dtype=np.int64)
        target = np.zeros(CHUNK, dtype=np.uint16)
        while True:
            if len(counts) > 1:
                drawn = np.searchsorted(bounds, draw.random(CHUNK), side="right")
                target = drawn.astype(np.uint16)
            if self.order == "random":
                own = draw.integers(0, counts[target])
            else:
                own = sent[target] + _ranks(target, len(counts))
                sent += np.bincount(target, minlength=len(counts))
                own %= counts[target]
            yield starts[target] + own


class Share(Generic[T]):
    """The turns of worker `worker` of `workers`: those of arrival worker, worker + workers, …

    Args:
        things: what is taken turns with, by number.
    """

    def __init__(
        self, turns: Turns, things: Sequence[T], seed: int, worker: int = 0, workers: int = 1
    ) -> None:
        self._things = things
        self._chunks: Iterator[Numbers] = share(turns.chunks(seed), worker, workers)
        self._chunk: Numbers = np.empty(0, dtype=np.intp)
        self._cycle: list[T] = []
        """What comes over and over, where nothing has to be drawn."""
        if len(turns.counts) == 1 and turns.order == "sequential":
            count = turns.counts[0]
            once = [things[(worker + workers * place) % count] for place in range(count)]
            self._cycle = once * -(-CHUNK // count)

    def skip(self, count: int) -> None:
        """Pass over the next `count` turns."""
        if self._cycle:
            here = count % len(self._cycle)
            self._cycle = self._cycle[here:] + self._cycle[:here]
            return
        while count > len(self._chunk):
            count -= len(self._chunk)
            self._chunk = next(self._chunks)
        self._chunk = self._chunk[count:]

    def next_piece(self) -> list[T]:
        """What takes the next turns; at least one."""
        if self._cycle:
            return self._cycle
        while not len(self._chunk):
            self._chunk = next(self._chunks)
        piece, self._chunk = self._chunk, self._chunk[:0]
        return [self._things[number] for number in piece.tolist()]


def _ranks(groups: NDArray[np.uint16], count: int) -> Numbers:
    """How many equal values stand before each: 0, 0, 1, 2, 1 for 7, 5, 7, 7, 5."""
    order = np.argsort(groups, kind="stable")
    firsts = np.cumsum(np.bincount(groups, minlength=count)) - np.bincount(groups, minlength=count)
    ranks = np.empty(len(groups), dtype=np.intp)
    ranks[order] = np.arange(len(groups)) - firsts[groups[order]]
    return ranks


_WEIGHTED = re.compile(r"(\d+(?:\.\d+)?):(https?://.*)")
_MAX_WEIGHT = 1e12


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests, the endpoints that they name by number, and how they take turns."""

    endpoints: list[Endpoint]
    requests: list[Request]
    turns: Turns


def weighted_url(text: str) -> tuple[float, str]:
    """(weight, URL) of `http://…`, whose weight is 1, or `3:http://…`."""
    match = _WEIGHTED.fullmatch(text)
    return (float(match[1]), match[2]) if match else (1.0, text)


def plan_traffic(
    urls: Sequence[str],
    *,
    method: str | None = None,
    headers: Headers = (),
    bodies: Sequence[Body] = (),
    order: str = "sequential",
    unix_socket: Path | None = None,
    connect_to: tuple[str, int] | None = None,
    tls: Tls | None = None,
    keep_alive: bool = True,
) -> Traffic:
    """Traffic to one or several weighted URLs; every body goes to every one.

    `method` None is POST with bodies, else GET. A `unix_socket`, or the host and port `connect_to`,
    is connected to in place of each URL's host and port; all that is sent stays the URL's. Without
    `keep_alive` each request says that it is the last one on its connection.

    Raises:
        UsageError: a URL, weight, method or header cannot be used.
    """
    weights, endpoints, encoded = [], [], []
    if not keep_alive:
        headers = [*headers, ("Connection", "close")]
    for number, (weight, url) in enumerate(map(weighted_url, urls)):
        target = parse_target(url)
        if not 0 < weight <= _MAX_WEIGHT:
            raise UsageError(
                f"the weight of {target.authority} must be more than 0 and at most 1e12"
            )
        weights.append(weight)
        endpoints.append(target.endpoint(tls, unix_socket, connect_to))
        verb = ("POST" if bodies else "GET") if method is None else method
        encoded.append(encode_requests(target, verb, headers, bodies, number))
    return Traffic(
        endpoints,
        [request for own in encoded for request in own],
        Turns(tuple(map(len, encoded)), tuple(weights), order),
    )
