"""What LoadGen tests: a system under test, as it looks from here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Payload = Literal["picture", "tensor"]
"""What a sample is when it is issued: the bytes of a JPEG or PNG, decoded and preprocessed within
the measured time; or the model's input tensor, as MLPerf's reference has it, preprocessed while the
sample was loaded, which is not timed."""

Record = NDArray[np.float32]
"""An answer as the accuracy log has it; see `tailrace.mlperf.records`."""

NODES = " + "
"""Stands between the names of its nodes in the name of a system of several."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample in memory."""

    index: int
    """Its place in the data set, from 0."""
    width_px: int
    height_px: int
    """Of the picture, as it came."""
    content: bytes | NDArray[Any]
    """The picture, or the input tensor of a batch of one."""


class Query(NamedTuple):
    """A sample that LoadGen wants an answer to."""

    id: int
    """LoadGen's own number of it."""
    sample: Sample


class Sink(Protocol):
    """Where answers go: each query's exactly once, from any thread."""

    def complete(self, query_id: int, record: Record) -> None:
        """The answer is there."""

    def fail(self, query_id: int, reason: str) -> None:
        """There will be none."""


class System(Protocol):
    """A system under test."""

    def name(self) -> str:
        """What it calls itself. A system over the network is asked anew each time.

        Raises:
            TailraceError: it cannot be asked.
        """

    def issue(self, queries: Sequence[Query], sink: Sink) -> None:
        """Begins to answer, and returns at once, however many wait: the schedule goes on."""

    def close(self) -> None:
        """Ends it; what has no answer yet gets none."""
