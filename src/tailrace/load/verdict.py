"""Whether a run's figures mean what they say: VALID, or INVALID with every reason."""

from collections.abc import Sequence

import msgspec

from tailrace.load.tally import Tally
from tailrace.units import format_duration

MIN_ANSWERS = 459
"""Fewer answers cannot bound p99 with 99 % confidence, even if none is over the bound: the
smallest n with 0.99ⁿ < 0.01 (MLPerf's early stopping, t = 0)."""
LAG_FLOOR_S = 1e-3
LAG_SHARE = 0.1
"""The generator is too late when its p99 send lag passes both 1 ms and a tenth of the p99 latency
it is there to measure."""


class Verdict(msgspec.Struct, frozen=True):
    """VALID or not, and why not."""

    valid: bool
    reasons: list[str]


def judge(total: Tally, problems: Sequence[str]) -> Verdict:
    """The verdict on a whole run, from its merged figures and what went wrong with its workers."""
    reasons = list(problems)
    if total.completed == 0:
        reasons.append("no request was answered")
    elif total.completed < MIN_ANSWERS:
        reasons.append(
            f"only {total.completed} answers: p99 needs at least {MIN_ANSWERS} "
            "(raise the rate or the duration)"
        )
    if total.send_lag.total and total.completed:
        lag_s = total.send_lag.percentile_us(99)[0] / 1e6
        latency_s = total.latency.percentile_us(99)[0] / 1e6
        if lag_s > max(LAG_FLOOR_S, LAG_SHARE * latency_s):
            reasons.append(
                f"the generator was late: p99 send lag {format_duration(lag_s)} "
                "(use more --workers or --connections, or give it a core of its own)"
            )
    aborted = total.failed.get("aborted", 0)
    if aborted:
        reasons.append(f"{aborted} requests were abandoned before their answer came")
    return Verdict(not reasons, reasons)
