"""What a search asks for, and what it is told."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ask:
    """Load to be offered next: `rate_per_s` for `for_s` seconds, without a gap to what was before.
    `why` is a line for a person."""

    rate_per_s: float
    for_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Block:
    """What came of load at one rate, all times in seconds of the run.

    Attributes:
        intended_s: float64 [n], when each request was meant to leave, in order.
        latency_s: float64 [n], inf for one that failed or was given up, nan for one that is still
            outstanding at `end_s`.
        offered: How many requests were meant to leave within the block.
        late: The generator was late: the block says nothing about the service.
        disturbed: It was late for what else its machine did, and not for the rate.
        share: Of the requests offered, how many are in the arrays.
        failed: How many failed, by reason; a timeout is one of them.
        slow: How many of those failed for being slow: timed out, or given up.
    """

    rate_per_s: float
    begin_s: float
    end_s: float
    intended_s: Floats
    latency_s: Floats
    offered: int
    late: bool = False
    disturbed: bool = False
    share: float = 1.0
    failed: dict[str, int] = field(default_factory=dict)
    slow: int = 0
