"""The stage clock: where one request's time went, to the nanosecond, as a Server-Timing header."""

from __future__ import annotations

import time

STAGES = (
    "receive",
    "queue",
    "batch-wait",
    "decode",
    "preprocess",
    "infer",
    "postprocess",
    "send",
)
"""The stages of a request, in their order. In a batch, `batch-wait` is all the time a request
waits for the others: for the window to end, and for their decoding, preprocessing and answers."""

RECEIVE, QUEUE, BATCH_WAIT, DECODE, PREPROCESS, INFER, POSTPROCESS, SEND = range(len(STAGES))

_HEADER = ", ".join(f"{stage};dur=%.4f" for stage in STAGES)


class StageClock:
    """Stamps the ends of one request's stages; each begins where the one before it ended.

    So the stages add up to `total_ns`, whatever happens in between.
    """

    __slots__ = ("_began_ns", "_ended_ns", "spans_ns")

    def __init__(self) -> None:
        """Starts the first stage."""
        self.spans_ns = [0] * len(STAGES)
        """Time in each of STAGES so far, in ns."""
        self._began_ns = self._ended_ns = time.monotonic_ns()

    @property
    def began_ns(self) -> int:
        """When the request came, in ns of CLOCK_MONOTONIC."""
        return self._began_ns

    @property
    def age_ns(self) -> int:
        """From the beginning to now."""
        return time.monotonic_ns() - self._began_ns

    @property
    def total_ns(self) -> int:
        """From the beginning to the last stamp."""
        return self._ended_ns - self._began_ns

    def end(self, stage: int) -> None:
        """Ends a stage now; one that comes again adds to what it had."""
        now_ns = time.monotonic_ns()
        self.spans_ns[stage] += now_ns - self._ended_ns
        self._ended_ns = now_ns

    def end_at(self, stage: int, when_ns: int) -> None:
        """Ends a stage at `when_ns`, of CLOCK_MONOTONIC, unless it began later than that."""
        if when_ns > self._ended_ns:
            self.spans_ns[stage] += when_ns - self._ended_ns
            self._ended_ns = when_ns

    def header(self) -> str:
        """The stages as Server-Timing (W3C): `receive;dur=0.1204, queue;dur=0.0310, …`, in ms."""
        return _HEADER % tuple([span_ns / 1e6 for span_ns in self.spans_ns])
