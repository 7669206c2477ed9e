"""An outage: so much failed, or hardly moved, in one of two runs that no chance is to be reckoned
with.

Failures come in clusters: one stall that fails a thousand requests is one piece of news, and an
interval from a run's own dependence rightly makes little of it. But that is about small shares. A
service that fails half of its requests is broken, be it in one piece or in many, and so is one that
was still failing all of them when the run ended.
"""

import math

from tailrace.runs.compare.series import NAMES, RunSeries, figures
from tailrace.runs.compare.within import wilson

SLOWER = 10.0
"""So many times the other run's p99 is as good as failed."""
LARGE_SHARE = 0.15
"""More failures than in the other run, as a share of all requests, than any cluster explains."""
STALL_S = 0.25
"""Beyond that share, as it is of a short run: a run of one second has an outage from 40 % on."""
_Z = 3.0
"""By counts alone a difference is told from chance at three standard errors."""
_DEAD_S = 2.0
_DEAD_REQUESTS = 20
"""So long, and so many requests, without one answer up to the end of a run: it is down."""


def outage(base: RunSeries, other: RunSeries) -> str | None:
    """What went down in `other`, and did not in `base`; None where nothing did."""
    totals = [float(run.failed.sum() + run.counts.sum()) for run in (base, other)]
    length_s = float(other.length_s.sum())
    if not all(totals) or not length_s:
        return None
    slow_ms = SLOWER * float(figures(base)[NAMES.index("p99")])
    for limit_ms, what in (
        (math.inf, "failed"),
        (slow_ms, f"failed or took longer than {SLOWER:g} times the other's p99"),
    ):
        shares = [
            _beyond(run, limit_ms) / total for run, total in zip((base, other), totals, strict=True)
        ]
        excess = shares[1] - shares[0]
        if excess > LARGE_SHARE + STALL_S / length_s and _is_told(shares, totals):
            return (
                f"an outage: {100 * shares[1]:.3g} % of its requests {what}, against "
                f"{100 * shares[0]:.3g} %, more than chance makes of it, however they are clustered"
            )
    failing_s = _failing_at_the_end_s(other)
    if failing_s and not _failing_at_the_end_s(base):
        return f"an outage: in its last {failing_s:.3g} s every request failed"
    return None


def _beyond(run: RunSeries, latency_ms: float) -> float:
    """How many requests failed or took longer."""
    return float(run.failed.sum() + run.counts[:, run.latency_ms > latency_ms].sum())


def _is_told(shares: list[float], totals: list[float]) -> bool:
    """Whether the second share is larger than the first: Newcombe's interval of their difference
    (1998, Interval estimation for the difference between independent proportions, Statistics in
    Medicine 17:873, method 10) leaves out 0.
    """
    (_, upper), (lower, _) = (
        wilson(share, total, _Z) for share, total in zip(shares, totals, strict=True)
    )
    return shares[1] - shares[0] > math.hypot(shares[1] - lower, upper - shares[0])


def _failing_at_the_end_s(run: RunSeries) -> float:
    """For how long nothing was answered at the end, while requests failed; 0 if that is short."""
    answered = run.counts.sum(axis=1)
    last = max((place for place, count in enumerate(answered) if count), default=-1)
    failing_s = float(run.length_s[last + 1 :].sum())
    failed = float(run.failed[last + 1 :].sum())
    return failing_s if failing_s >= _DEAD_S and failed >= _DEAD_REQUESTS else 0.0
