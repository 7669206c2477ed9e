"""The system under test over the network: one node or several, each reached over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from itertools import repeat
from typing import Any, Literal, TypeVar

import uvloop

from tailrace.errors import TailraceError, UsageError
from tailrace.load.client.target import Tls
from tailrace.mlperf.network.node import Node, Served
from tailrace.mlperf.network.pool import UNSENT, Limits, Pool
from tailrace.mlperf.network.routing import Asked, Lane, LeastOutstanding, RoundRobin, Router
from tailrace.mlperf.system import NODES, Payload, Query, Sink
from tailrace.models.zoo.spec import Format, ModelSpec

Routing = Literal["round-robin", "least-outstanding"]
"""Which node a query goes to: each in turn, or the one with the fewest unanswered ones."""

_SLICE = 64
"""Queries sent before the loop may read answers again."""
_READY_WITHIN_S = 120.0
_T = TypeVar("_T")


def connect(
    spec: ModelSpec,
    urls: Sequence[str],
    *,
    payload: Payload,
    routing: Routing,
    connections: int,
    timeout_s: float,
    headers: Mapping[str, str],
    remote_name: str | None = None,
    tls: Tls | None = None,
    ready_within_s: float = _READY_WITHIN_S,
) -> NetworkSystem:
    """The system that the servers at `urls` are, once each of them is ready.

    Args:
        urls: base URLs, `http(s)://HOST[:PORT]`.
        connections: the most that are open to a node.
        timeout_s: how long an answer may take, from when its request is on the wire.
        headers: sent with every request, as a token is.
        remote_name: what the servers call the model; None for its name here.
        tls: how the certificates of `https` nodes are checked.
        ready_within_s: how long a node that is loading its model is waited for.

    Raises:
        UsageError: an argument cannot be used, a node takes no such payload or serves something
            else than the model.
        TailraceError: a node cannot be reached, is no such server, demands a token, or does not
            have the model ready in time.
    """
    if not urls:
        raise UsageError("name a node to test, by its URL")
    if connections < 1 or not timeout_s > 0:
        raise UsageError("a node has 1 connection or more, and more than 0 s to answer in")
    nodes = [Node(url, remote_name or spec.name, headers, tls) for url in urls]
    for number, node in enumerate(nodes):
        if node.url in [other.url for other in nodes[:number]]:
            raise UsageError(f"{node.url} is named twice: each node is one of its own")
    with contextlib.ExitStack() as stack:
        background = _Background()
        stack.callback(background.close)
        stack.callback(lambda: background.start(_close(nodes)).result())
        served = background.start(
            _all(node.probe(spec, payload, ready_within_s) for node in nodes)
        ).result()
        for node, other in zip(nodes, served, strict=True):
            if other.form is not served[0].form:
                raise UsageError(
                    f"{nodes[0].url} and {node.url} serve {spec.name} in two forms: test each alone"
                )
        limits = Limits(connections=connections, timeout_s=timeout_s)
        system = NetworkSystem(background, nodes, served, limits, routing)
        stack.pop_all()
        return system


class NetworkSystem:
    """Servers that answer queries over HTTP; `connect` makes one. See System.

    What a node does not answer with success fails, with the reason; nothing is sent twice.
    """

    def __init__(
        self,
        background: _Background,
        nodes: Sequence[Node],
        served: Sequence[Served],
        limits: Limits,
        routing: Routing,
    ) -> None:
        """`served` has what was found out about each of the nodes."""
        self.form: Format = served[0].form
        """How pictures become the tensors that the nodes take."""
        self.same_host = any(is_this_machine(node.target.host) for node in nodes)
        """Whether a node is this very machine, so that a result is none of MLPerf's Network
        division."""
        self._background = background
        self._nodes = nodes
        self._lanes = [
            Lane(Pool(node.dialer, node.target.authority, limits), each.wire)
            for node, each in zip(nodes, served, strict=True)
        ]
        self._router: Router = (
            LeastOutstanding(self._lanes, limits.connections)
            if routing == "least-outstanding" and len(nodes) > 1
            else RoundRobin(self._lanes)
        )
        self._inbox: deque[tuple[Query, Sink]] = deque()
        self._lock = threading.Lock()
        self._awake = False
        self._closed = False

    def name(self) -> str:
        """See System. Every node is asked; their names are joined by NODES."""
        with self._lock:
            if self._closed:
                raise _closed()
            names = self._background.start(_all(node.name() for node in self._nodes))
        try:
            return NODES.join(names.result())
        except CancelledError as error:
            raise _closed() from error

    def issue(self, queries: Sequence[Query], sink: Sink) -> None:
        """See System. Any thread may call this."""
        with self._lock:
            closed = self._closed
            if not closed:
                self._inbox.extend(zip(queries, repeat(sink), strict=False))
                if not self._awake:
                    self._awake = True
                    self._background.loop.call_soon_threadsafe(self._send)
        if closed:
            for query in queries:
                sink.fail(query.id, UNSENT.reason)

    def close(self) -> None:
        """See System: all that is unanswered fails as `aborted`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._background.start(self._end()).result()
        self._background.close()

    def _send(self) -> None:
        inbox, router = self._inbox, self._router
        for _ in range(min(len(inbox), _SLICE)):
            query, sink = inbox.popleft()
            router.send(Asked(query, sink, router))
        with self._lock:
            if not inbox:
                self._awake = False
                return
        self._background.loop.call_soon(self._send)

    async def _end(self) -> None:
        while self._inbox:
            query, sink = self._inbox.popleft()
            sink.fail(query.id, UNSENT.reason)
        self._router.close()
        for lane in self._lanes:
            lane.pool.close()
        await _close(self._nodes)


class _Background:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="tailrace-network", daemon=True)
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Has `coroutine` run there; for any other thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def close(self) -> None:
        """Ends what runs there, and the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self) -> None:
        self.loop.run_forever()
        self.loop.run_until_complete(_cancel_others())
        self.loop.close()


async def _cancel_others() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _all(coroutines: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    return await asyncio.gather(*coroutines)


async def _close(nodes: Sequence[Node]) -> None:
    for node in nodes:
        node.close()


def _closed() -> TailraceError:
    return TailraceError("the system has been closed")


def is_this_machine(host: str) -> bool:
    """Whether a name or address is one of this machine's interfaces; what cannot be looked up is
    not."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    return any(_can_bind(family, address) for family, _, _, _, address in found)


def _can_bind(family: int, address: Any) -> bool:
    # Only an address of one of this machine's interfaces can be bound; port 0 is any.
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return False
    return True
