"""What a session and its load workers say to each other, over a byte stream a worker.

Each message is msgpack behind its length, a little-endian uint32.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tailrace.load.client.pool import PoolLimits
from tailrace.load.client.request import Request
from tailrace.load.client.traffic import Traffic
from tailrace.load.config import DEFAULT_TIMEOUT_S, LoadConfig, of_path, to_path
from tailrace.load.measure.measurement import Measurement, pack, unpack

_LENGTH = struct.Struct("<I")


class Setup(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Session → worker, first: everything a worker needs to know but the instant to start."""

    config: LoadConfig
    """The whole run's, with arrivals by names of files that the worker has."""
    worker: int
    workers: int
    """Its share of the schedule: arrivals ≡ worker (mod workers)."""
    traffic: Traffic
    profile: list[tuple[float, float, str]]
    """What `Profile.placed` says."""
    cap_per_s: float | None = None
    """What all workers together may send at most; None: whatever the schedule says."""
    from_s: float = 0.0
    """What is due before it, seconds since the run's start, is not this worker's to offer."""
    samples_share: float = 0.0
    """So many of all requests are told of one by one, in SampleBatch."""

    @property
    def limits(self) -> PoolLimits:
        """How many connections it may have, and how long each part of a request may take."""
        config = self.config
        timeout_s = config.timeout_s or DEFAULT_TIMEOUT_S
        return PoolLimits(
            connections=-(-config.connections // config.workers),
            timeout_s=timeout_s,
            connect_s=min(config.connect_timeout_s or timeout_s, timeout_s),
            first_byte_s=min(config.first_byte_timeout_s or timeout_s, timeout_s),
        )


class Ready(msgspec.Struct, tag=True, frozen=True):
    """Worker → session: set up, waiting for the start."""


class Start(msgspec.Struct, tag=True, frozen=True):
    """Session → worker: the run's time zero, ns of the worker's CLOCK_MONOTONIC, and from when on
    to offer, seconds since then; both are a little ahead for one that is there from the start.
    """

    start_ns: int
    from_s: float = 0.0


class Change(msgspec.Struct, tag=True, frozen=True):
    """Session → worker: another profile, an expression, from `t_s` on, seconds since the start; and
    of the requests from then on another share in samples, where it takes any at all.
    """

    t_s: float
    profile: str
    samples_share: float | None = None


class Stop(msgspec.Struct, tag=True, frozen=True):
    """Session → worker: offer nothing after `t_s`, answer for what is in flight, then finish."""

    t_s: float


class Abandon(msgspec.Struct, tag=True, frozen=True):
    """Session → worker: finish now; what is unanswered counts as `aborted`."""


class Snapshot(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """Worker → session: what happened in one interval; the last one ends the worker's run.

    The interval of index i ends (i + 1)·interval_s after the run's start, or a little later. One
    that a stalled worker passed over is absent.
    """

    last: bool
    measured: Measurement
    held: bool = False
    """Whether the schedule was denser than its cap, and was held back to it."""


class SampleBatch(msgspec.Struct, tag=True, frozen=True):
    """Worker → session: some of an interval's requests one by one, before its Snapshot."""

    rows: memoryview
    """Of the type `measure.samples.SAMPLE`."""
    reasons: list[str]
    """Those that the rows number."""


class Broken(msgspec.Struct, tag=True, frozen=True):
    """Worker → session: it cannot work, or go on, and why."""

    reason: str


Message = Setup | Ready | Start | Change | Stop | Abandon | Snapshot | SampleBatch | Broken


def _pack(value: object) -> object:
    return of_path(value) if isinstance(value, Path) else pack(value)


def _unpack(kind: type[Any], data: Any) -> object:
    return to_path(kind, data) if kind is Path else unpack(kind, data)


encoder = msgspec.msgpack.Encoder(enc_hook=_pack)
decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message, dec_hook=_unpack)
read_setup = msgspec.msgpack.Decoder(Setup, dec_hook=to_path).decode
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
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            self._receive(decoder.decode(body))
