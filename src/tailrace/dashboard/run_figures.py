"""A run's figures, and those of two runs with their difference."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tailrace.load.measure.point import Percentiles
from tailrace.load.session.result import Result
from tailrace.runs.record import RunRecord
from tailrace.units import format_digits, format_lag
from tailrace.view.words import NONE, number

Span = tuple[float, float]


Group = Literal["Latency", "Service", "Load"]
GROUPS: tuple[Group, ...] = ("Latency", "Service", "Load")


def _shown(value: float | None) -> str:
    return f"{value:,}" if isinstance(value, int) else number(value)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a run, with the 95 % confidence interval of a percentile of its latency."""

    group: Group
    label: str
    unit: str
    """Empty where `words` says it."""
    value: float | None
    span: Span | None = None
    words: Callable[[float | None], str] = _shown

    @property
    def shown(self) -> str:
        """The value as a person reads it."""
        return self.words(self.value)

    @property
    def span_shown(self) -> str:
        """The interval, or nothing."""
        return f"{number(self.span[0])} to {number(self.span[1])}" if self.span else ""


_STATISTICS: tuple[tuple[str, Callable[[Percentiles], float | None]], ...] = (
    ("p50", lambda p: p.p50),
    ("p90", lambda p: p.p90),
    ("p95", lambda p: p.p95),
    ("p99", lambda p: p.p99),
    ("p99.9", lambda p: p.p99_9),
    ("max", lambda p: p.max),
    ("mean", lambda p: p.mean),
)


def figures_of(record: RunRecord) -> list[Figure]:
    """All figures of a run, in the order in which they are shown.

    Of a run without a result they are those of its finished intervals, and fewer.
    """
    if record.result is not None:
        return _of_result(record.result)
    info = record.info
    per_s = 1 / info.duration_s if info.duration_s > 0 else None
    return [
        Figure("Latency", "p99", "ms", info.p99_ms),
        Figure("Load", "completed", "/s", info.completed * per_s if per_s else None),
        Figure("Load", "requests completed", "", info.completed),
        Figure("Load", "requests failed", "", info.failed),
        Figure("Load", "duration", "s", info.duration_s),
    ]


def _of_result(result: Result) -> list[Figure]:
    latency = [
        Figure("Latency", name, "ms", of(result.latency_ms), result.confidence_ms.get(name))
        for name, of in _STATISTICS
    ]
    stages = [
        Figure("Service", f"{stage} p99", "ms", percentiles.p99)
        for stage, percentiles in result.stages_ms.items()
    ]
    reasons = result.reasons or result.failed
    failed = [Figure("Load", f"failed: {reason}", "", n) for reason, n in reasons.items()]
    return [
        *latency,
        Figure("Service", "service time p50", "ms", result.service_ms.p50),
        Figure("Service", "service time p99", "ms", result.service_ms.p99),
        *stages,
        Figure("Load", "offered", "/s", result.rate.offered),
        Figure("Load", "sent", "/s", result.rate.sent),
        Figure("Load", "completed", "/s", result.rate.completed),
        Figure("Load", "requests completed", "", result.completed),
        Figure("Load", "requests failed", "", sum(result.failed.values())),
        *failed,
        Figure("Load", "send lag p99", "", result.send_lag_us.get("p99"), words=format_lag),
        Figure("Load", "duration", "s", result.duration_s),
    ]


@dataclass(frozen=True, slots=True)
class Pair:
    """The same figure of two runs; one of them may not have it."""

    group: Group
    label: str
    unit: str
    one: Figure | None
    other: Figure | None

    @property
    def difference(self) -> str:
        """The second minus the first, also in percent of the first."""
        one, other = (figure.value if figure else None for figure in (self.one, self.other))
        if one is None or other is None:
            return NONE
        step = other - one
        if step == 0:
            return "none"
        sign = "+" if step > 0 else "−"
        percent = f" ({sign}{format_digits(abs(100 * step / one))} %)" if one else ""
        words = self.one.words if self.one is not None else _shown
        return f"{sign}{words(abs(step))}{percent}"

    @property
    def unproven(self) -> bool:
        """Whether both confidence intervals have something in common, so that the difference may
        be chance.
        """
        one, other = (figure.span if figure else None for figure in (self.one, self.other))
        return bool(one and other and one[0] <= other[1] and other[0] <= one[1])


def pair_up(one: list[Figure], other: list[Figure]) -> list[Pair]:
    """The figures of two runs side by side, in the order of the run that has more of them; what the
    other alone has comes last.
    """
    firsts = {_key(figure): figure for figure in one}
    seconds = {_key(figure): figure for figure in other}
    longer, shorter = (firsts, seconds) if len(firsts) >= len(seconds) else (seconds, firsts)
    keys = [*longer, *(key for key in shorter if key not in longer)]
    return [Pair(*key, firsts.get(key), seconds.get(key)) for key in keys]


def _key(figure: Figure) -> tuple[Group, str, str]:
    return figure.group, figure.label, figure.unit
