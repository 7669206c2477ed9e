"""Whether a run's figures mean what they say: VALID, or INVALID with every reason.

That is the measurement alone: whether the generator can be trusted, and whether enough came back
for what was asked. Whether an SLO is kept is `decide`'s to say; whether the run is official by
MLPerf's conditions for its Server scenario (minimum duration, latency bound, early stopping) is an
answer of its own, for those who ask.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

from tailrace.load.judge.confidence import min_queries, share_above, still_needed
from tailrace.load.judge.slo import Slo
from tailrace.load.judge.stationarity import stationary
from tailrace.load.judge.stretches import Stretches
from tailrace.load.measure.breakdown import CONNECTION_WAIT
from tailrace.load.measure.measurement import Measurement
from tailrace.units import format_duration

MIN_DURATION_S = 600.0
"""MLPerf's minimum for every scenario."""
MLPERF_PERCENT = 99.0
"""MLPerf's percentile for Server, where no SLO names one."""
LAG_FLOOR_S = 1e-3
LAG_SHARE = 0.1
"""The generator is too late when its p99 send lag passes both 1 ms and a tenth of the p99 latency
it is there to measure."""
THROTTLED_SHARE = 0.01
"""A container that is stopped in more than this share of the periods of its CPU limit is late for
that reason: more of them than of the requests that a p99 leaves out."""
BUSY_SHARE = 0.8
"""Above this share of a core a load worker has too little left to be on time."""
CLOCK_ERROR_S = 5e-3
"""How far apart the clocks of a fleet may be. Latency is taken on one node and does not suffer; but
shares that are offered apart make a load smoother than it should be: by simulation the p99 before a
service of 4 ms is too good by 0.8 % at an error of 1 ms, by 4.6 % at 5 ms (docs/scale.md)."""


class Verdict(msgspec.Struct, frozen=True):
    """Whether the measurement is sound, and why not."""

    valid: bool
    reasons: list[str]


class MlperfAnswer(msgspec.Struct, frozen=True):
    """Whether a run meets MLPerf's conditions, and why not."""

    official: bool
    reasons: list[str]


def judge(
    total: Measurement,
    *,
    duration_s: float,
    min_duration_s: float | None = None,
    slos: Sequence[Slo] = (),
    problems: Sequence[str] = (),
    clock_errors_s: Mapping[str, float] | None = None,
    stretches: Stretches | None = None,
    so_far: bool = False,
) -> Verdict:
    """The verdict on a run, or on what there is of it `so_far`, from its merged figures: then what
    only takes longer is no reason yet.

    `duration_s` is how long it offered load, `min_duration_s` how long it was to; `problems` is
    what went wrong with its workers; `clock_errors_s` by how much the clock of each node of a fleet
    may be off; `stretches` are the same figures over time.
    """
    reasons = [*problems, *_clock_faults(clock_errors_s or {}), *_generator_faults(total)]
    if total.completed == 0:
        reasons.append("no request was answered")
    elif stretches is not None and (why := stationary(stretches)) is not None:
        reasons.append(why)
    if not so_far:
        reasons += _short(total, duration_s, min_duration_s or 0.0, slos)
    return Verdict(not reasons, reasons)


def judge_mlperf(
    total: Measurement, verdict: Verdict, *, duration_s: float, slos: Sequence[Slo] = ()
) -> MlperfAnswer:
    """Whether a run is official by MLPerf's conditions for Server; `verdict` is on its measurement.

    Without an SLO on a percentile the bound is one that no request is over.
    """
    reasons = [] if verdict.valid else ["the measurement is INVALID"]
    if duration_s < MIN_DURATION_S:
        reasons.append(
            f"it ran {format_duration(duration_s)}, less than MLPerf's minimum of "
            f"{format_duration(MIN_DURATION_S)}"
        )
    bounds = [slo for slo in slos if slo.percent is not None and not slo.is_on_failures]
    reasons += [missing for slo in bounds if (missing := missing_for(total, slo)) is not None]
    least = min_queries(MLPERF_PERCENT, 0)
    if not bounds and total.ended < least:
        reasons.append(
            f"{least - total.ended:,} more requests are needed to speak of a "
            f"p{MLPERF_PERCENT:g} ({total.ended:,} of {least:,})"
        )
    return MlperfAnswer(not reasons, reasons)


def _short(
    total: Measurement, duration_s: float, min_duration_s: float, slos: Sequence[Slo]
) -> list[str]:
    """What a run lacks that another, longer one would have."""
    reasons = []
    if duration_s < min_duration_s:
        reasons.append(
            f"it ran {format_duration(duration_s)}, less than the minimum of "
            f"{format_duration(min_duration_s)}"
        )
    for slo in slos:
        if slo.percent is None or slo.is_on_failures:
            continue
        least = math.ceil(1 / share_above(slo.percent) - 1e-9)
        if 0 < total.ended < least:
            reasons.append(
                f"a {slo.statistic} takes {least:,} requests or more: "
                f"{total.ended:,} came to an end"
            )
    return reasons


def missing_for(total: Measurement, slo: Slo) -> str | None:
    """What MLPerf's early stopping still asks for of a percentile SLO; None where that is met.

    Failed requests are over the bound.
    """
    assert slo.percent is not None
    over = slo.over(total)
    resolved = total.ended
    if not slo.holds(total):
        share = 100 * over / resolved if resolved else 100.0
        return f"SLO {slo.expression} is broken: {share:.3g} % of requests are over the bound"
    needed = still_needed(slo.percent, resolved, over)
    if needed == 0:
        return None
    return (
        f"SLO {slo.expression} is not proven: {needed:,} more requests under "
        f"{format_duration(slo.bound_s)} needed ({over:,} of {resolved:,} over it)"
    )


def is_late(lag_s: float, latency_s: float) -> bool:
    """Whether a p99 send lag is too long to measure a p99 latency with."""
    return lag_s > late_above_s(latency_s)


def late_above_s(latency_s: float) -> float:
    """The longest p99 send lag to measure a p99 latency with."""
    return max(LAG_FLOOR_S, LAG_SHARE * latency_s)


def generator_limits(total: Measurement, bound_s: float = 0.0) -> list[str]:
    """Why the load was not what it should have been, each with what to change: then it decides
    nothing about the service.

    Where all that is asked is on which side of `bound_s` the latency lies, a generator is late by
    that, if it is more than the latency.
    """
    limits = []
    if total.send_lag.total and total.completed:
        lag_s, latency_s = (h.percentile_us(99)[0] / 1e6 for h in (total.send_lag, total.latency))
        if is_late(lag_s, max(latency_s, bound_s)):
            limits.append(
                f"the generator was late: p99 send lag {format_duration(lag_s)}; {_remedy(total)}"
            )
    if total.port_exhausted:
        limits.append(
            f"{total.port_exhausted:,} connections found no free local port: lower --connections, "
            "or widen net.ipv4.ip_local_port_range"
        )
    return limits


def _clock_faults(errors_s: Mapping[str, float]) -> list[str]:
    apart = {node: error_s for node, error_s in errors_s.items() if error_s > CLOCK_ERROR_S}
    if not apart:
        return []
    node = max(apart, key=apart.__getitem__)
    fault = (
        f"the clocks of {len(apart)} nodes may be off by more than "
        f"{format_duration(CLOCK_ERROR_S)} ({node} by {format_duration(apart[node])}): keep the "
        "nodes' clocks in step (NTP, PTP), or use ones that are nearer"
    )
    return [fault]


def _generator_faults(total: Measurement) -> list[str]:
    """Reasons that lie with the generator or its machine, each with what to change."""
    faults = generator_limits(total)
    if (fault := connections_fault(total)) is not None:
        faults.append(fault)
    if aborted := total.failed.get("aborted", 0):
        faults.append(f"{aborted:,} requests were abandoned before their answer came")
    if total.clock_steps_ns:
        faults.append(
            f"the machine's clock was set by {format_duration(total.clock_steps_ns / 1e9)} while "
            "it ran: times of day in the timeline are off (latencies are not)"
        )
    return faults


def connections_fault(total: Measurement) -> str | None:
    """Whether waits at the cap on connections make up more of the tail than a late generator may,
    and what to change. Time that opening a connection takes is none of the generator's.
    """
    xray = total.breakdown.xray()
    if xray is None:
        return None
    waited_s = xray.tail_ms.get(CONNECTION_WAIT, 0.0) / 1e3
    if waited_s <= max(LAG_FLOOR_S, LAG_SHARE * total.latency.percentile_us(99)[0] / 1e6):
        return None
    return (
        f"{total.cap_waits:,} requests waited for a free connection, the slowest 1 % for "
        f"{format_duration(waited_s)} on average: raise --connections, or the service is slower "
        "than the rate"
    )


def _remedy(total: Measurement) -> str:
    throttled = total.cpu_throttled / total.cpu_periods if total.cpu_periods else 0.0
    if throttled > THROTTLED_SHARE:
        return (
            f"its container's CPU limit stopped it in {100 * throttled:.0f} % of the limit's "
            "periods: raise the limit, or offer less"
        )
    share = total.cpu_ns / total.worker_ns if total.worker_ns else 0.0
    if share > BUSY_SHARE:
        return f"its workers had {100 * share:.0f} % of a core each to do: use more --workers"
    return (
        f"other processes had its core (its own need was {100 * share:.0f} %): give it one of its "
        "own (taskset), or try --spin"
    )
