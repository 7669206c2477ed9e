"""What a session and its load workers say to each other, over a byte stream a worker.

Each message is msgpack behind its length, a little-endian uint32.
"""

import struct
from collections.abc import Callable, Iterator

import msgspec

from tailrace.load.client.addresses import DEFAULT_REUSE, Reuse
from tailrace.load.client.expect import ANY_2XX, Expect
from tailrace.load.client.request import Request
from tailrace.load.client.target import Endpoint
from tailrace.load.client.traffic import Turns
from tailrace.load.measure.breakdown import Packed
from tailrace.load.measure.point import SlowRequest

_LENGTH = struct.Struct("<I")


class Setup(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Session → worker, first: everything a worker needs to know but the instant to start."""

    worker: int
    workers: int
    endpoints: list[Endpoint]
    requests: list[Request]
    turns: Turns
    arrivals: str
    seed: int
    profile: list[tuple[float, float, str]]
    """What `Profile.placed` says."""
    duration_s: float | None
    connections: int
    reuse: Reuse = DEFAULT_REUSE
    timeout_s: float
    connect_timeout_s: float
    first_byte_timeout_s: float
    expect: Expect = ANY_2XX
    interval_s: float
    spin: bool
    cap_per_s: float | None = None
    """What all workers together may send at most; None: whatever the schedule says."""
    from_s: float = 0.0
    """What is due before it, seconds since the run's start, is not this worker's to offer."""
    samples_share: float = 0.0
    """So many of all requests are told of one by one, in SampleBatch."""


class Ready(msgspec.Struct, tag=True, frozen=True):
    """Worker → session: set up, waiting for the start."""


class Start(msgspec.Struct, tag=True, frozen=True):
    """Session → worker: the run's time zero, ns of the worker's CLOCK_MONOTONIC, and from when on
    to offer, seconds since then; both are a little ahead for one that is there from the start.
    """

    start_ns: int
    from_s: float = 0.0


class Change(msgspec.Struct, tag=True, frozen=True):
    """Session → worker: another profile, an expression, from `t_s` on, seconds since the start."""

    t_s: float
    profile: str


class Stop(msgspec.Struct, tag=True, frozen=True):
    """Session → worker: offer nothing after `t_s`, answer for what is in flight, then finish."""

    t_s: float


class Abandon(msgspec.Struct, tag=True, frozen=True):
    """Session → worker: finish now; what is unanswered counts as `aborted`."""


class Snapshot(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Worker → session: what happened in one interval; the last one ends the worker's run."""

    index: int
    """Number of the interval: it ends (index + 1)·interval_s after the run's start, or a little
    later. One that a stalled worker passed over is absent."""
    last: bool
    end_ns: int
    length_ns: int
    answered_ns: int = 0
    """When the last answer of the interval came, since the run's start; 0 where none did."""
    offered: int
    sent: int
    completed: int
    reasons: dict[str, int]
    """Failed requests, by reason."""
    in_flight: int
    backlog: int
    connections: int
    cpu_ns: int
    cpu_periods: int = 0
    """Of the CPU limit on the worker's container, if there is one: see `CpuLimit`."""
    cpu_throttled: int = 0
    """In so many of them the limit stopped it."""
    cap_waits: int
    held: bool = False
    """Whether the schedule was denser than its cap, and was held back to it."""
    port_exhausted: int
    tick_lag_ns: int
    latency: bytes
    service: bytes
    send_lag: bytes
    stages: dict[str, bytes]
    breakdown: Packed = Packed([], b"")
    slowest: list[SlowRequest] = []
    examples: dict[str, str] = {}
    """What came instead of an answer, by reason; of each reason once a run."""
    addresses: dict[str, int] = {}
    """Requests sent, by where to."""


class SampleBatch(msgspec.Struct, tag=True, frozen=True):
    """Worker → session: some of an interval's requests one by one, before its Snapshot."""

    rows: bytes
    """Of the type `measure.samples.SAMPLE`."""
    reasons: list[str]
    """Those that the rows number."""


class Broken(msgspec.Struct, tag=True, frozen=True):
    """Worker → session: it cannot work, or go on, and why."""

    reason: str


Message = Setup | Ready | Start | Change | Stop | Abandon | Snapshot | SampleBatch | Broken

encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
read_setup = msgspec.msgpack.Decoder(Setup).decode
"""A Setup as `encoder` packs it."""
read_requests = msgspec.msgpack.Decoder(list[Request]).decode
"""Requests as `encoder` packs them."""


def frame(message: Message) -> bytes:
    """`message` as it goes over the socket."""
    body = encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class Reader:
    """Cuts a byte stream into messages."""

    def __init__(self, receive: Callable[[Message], None]) -> None:
        self._receive = receive
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes as they come; calls `receive` with each message that is complete."""
        self._buffer += data
        for message in self._complete():
            self._receive(message)

    def _complete(self) -> Iterator[Message]:
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield _decoder.decode(body)
