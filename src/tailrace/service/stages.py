"""The stage clock: where one request's time went, as a Server-Timing header."""

from __future__ import annotations

import time

STAGES = ("receive", "queue", "decode", "preprocess", "infer", "postprocess", "send")
"""The stages of a request, in their order."""


class StageClock:
    """Stamps the ends of one request's stages; each stage begins where the one before it ended."""

    __slots__ = ("_ended_ns", "_spans")

    def __init__(self) -> None:
        """Starts the first stage."""
        self._spans: list[tuple[str, int]] = []
        self._ended_ns = time.monotonic_ns()

    def end(self, stage: str) -> None:
        """Ends `stage` now."""
        now_ns = time.monotonic_ns()
        self._spans.append((stage, now_ns - self._ended_ns))
        self._ended_ns = now_ns

    def header(self) -> str:
        """The stages as Server-Timing (W3C): `receive;dur=0.120, queue;dur=0.031`, in ms."""
        return ", ".join(f"{stage};dur={span_ns / 1e6:.3f}" for stage, span_ns in self._spans)
