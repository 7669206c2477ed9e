"""The result document of a run: what `tailrace load --json` prints and `result.json` holds."""

import msgspec

from tailrace.load.judge.dependence import SloDecision, interval_us
from tailrace.load.judge.stretches import Stretches
from tailrace.load.judge.verdict import MlperfAnswer, Verdict
from tailrace.load.measure.breakdown import Xray
from tailrace.load.measure.point import (
    PERCENTS,
    Figures,
    NodeFigures,
    Percentiles,
    close,
    per_s,
)
from tailrace.load.measure.server_timing import MOST_STAGES, OTHER
from tailrace.load.session.session import Session


class Rates(msgspec.Struct, frozen=True):
    """Per second: offered and sent over the time that load was offered, completed up to the last
    answer, if that came later."""

    offered: float
    sent: float
    completed: float


class Result(Figures, frozen=True, kw_only=True):
    """A whole run. Latencies are of completed requests alone, from their intended time."""

    target: str
    arrivals: str
    seed: int
    duration_s: float
    """How long it offered load."""
    answered_s: float | None = None
    """From its start to the last answer; None where nothing was answered."""
    ended_by: str | None = None
    """`duration` where it offered all that was asked for; else what cut it short: `stop`,
    `abort-on`, `workers` (all were lost), or a signal: `SIGINT`, `SIGTERM`, `SIGHUP`. None in
    documents of earlier versions."""
    rate: Rates
    confidence_ms: dict[str, tuple[float, float] | None]
    """95 % confidence interval of each latency percentile; None where the run is too short to tell.
    """
    send_lag_us: dict[str, float | None]
    xray: Xray | None = None
    """Where the time of the slowest 1 % went; None where too few were answered."""
    verdict: Verdict
    """On the measurement: whether the figures mean what they say."""
    decisions: dict[str, SloDecision] = msgspec.field(default_factory=dict)
    """What the run decides of each SLO; empty where nothing came to an end, and in documents of
    earlier versions. `slo` is as measured."""
    mlperf: MlperfAnswer | None = None
    """Whether it is official by MLPerf's conditions; None where nobody asked."""
    run: str | None
    nodes: dict[str, NodeFigures] = msgspec.field(default_factory=dict)
    """Over the whole run, the machines of a fleet by name; empty for a run on one machine."""
    addresses: dict[str, int] = msgspec.field(default_factory=dict)
    """Requests sent, by the address that they were sent to."""


def answering_s(duration_s: float, answered_s: float | None) -> float:
    """How long answers came, of a run that offered load for `duration_s` and had its last answer
    `answered_s` after its start.

    Never less than the offering: a service that fell silent was slower, not done earlier.
    """
    return max(duration_s, answered_s or 0.0)


def build_result(session: Session, run: str | None) -> Result:
    """The document of a run that is over; `run` is its directory."""
    total = session.total
    duration_s = session.duration_s
    answered_s = total.answered_ns / 1e9
    return close(
        Result,
        total,
        target=session.plan.config.url,
        arrivals=session.plan.config.arrivals,
        seed=session.plan.config.seed,
        duration_s=round(duration_s, 6),
        answered_s=round(answered_s, 6) if total.completed else None,
        ended_by=session.ended_by,
        rate=Rates(
            per_s(total.offered, duration_s),
            per_s(total.sent, duration_s),
            per_s(total.completed, answering_s(duration_s, answered_s)),
        ),
        confidence_ms=confidence_ms(session.stretches),
        send_lag_us=msgspec.to_builtins(Percentiles.of(total.send_lag, 1)),
        verdict=session.verdict,
        slo=session.kept,
        decisions=session.decisions,
        mlperf=session.mlperf,
        run=run,
        nodes=session.nodes,
        addresses=total.addresses,
    )


def notes_on(result: Result) -> tuple[str, ...]:
    """What a reader of the figures has to know, and what makes none of them invalid."""
    crowded = (
        f"the service named more than {MOST_STAGES} stages in Server-Timing: those that came "
        f"later are counted together, as {OTHER}"
    )
    return (crowded,) if OTHER in result.stages_ms else ()


def confidence_ms(stretches: Stretches) -> dict[str, tuple[float, float] | None]:
    """The 95 % confidence interval of each percentile, ms; None: the run is too short to tell."""
    found = {name: interval_us(stretches, percent) for name, percent in PERCENTS.items()}
    return {
        name: (round(us[0] / 1e3, 4), round(us[1] / 1e3, 4)) if us else None
        for name, us in found.items()
    }
