"""Two sides compared, of a run or several each: each figure's ratio, and whether it is more than
chance makes of it.

The run is the unit that varies: several runs a side are compared by `between`. One run a side is
all that there often is: then `within` says what each one's own noise explains.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from operator import attrgetter
from pathlib import Path
from statistics import median

import msgspec

from tailrace.errors import UsageError
from tailrace.runs.compare import between, within
from tailrace.runs.compare.outage import SLOWER, outage
from tailrace.runs.compare.series import (
    NAMES,
    UNITS,
    Apart,
    RunSeries,
    Span,
    read_series,
    rounding,
)
from tailrace.runs.listing import RunInfo, RunRecord, UnknownRunError, read_run
from tailrace.units import format_digits

_RESOLUTION = 1e-3
"""Latencies and rates have three digits: what differs by less does not differ."""
_ALIKE = 0.1
"""Durations that differ by a smaller share are not worth a note."""
_UNSEEN = (
    "one run a side: what differs between runs (restarts, drift, neighbours) is not in the "
    "intervals; several a side show it, as tailrace ab makes them"
)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of two sides; of several runs on a side, the geometric mean of theirs (of `failed`
    the mean).

    A latency is infinite (null in JSON) where failed requests, which took for ever, reach it.
    """

    name: str
    """mean, a percentile of NAMES, failed or completed/s. Percentiles are of all requests, a
    failed one slower than any answered; `mean` is of the answered ones."""
    unit: str
    """`ms`, `%` or `/s`."""
    base: float | None
    """None where there is no such figure: nothing was answered, or can be read."""
    other: float | None
    ratio: float | None
    """other / base; None where both are 0 or both infinite."""
    ratio_interval: Span | None
    """95 % interval of the ratio; None where it cannot be told, and of `failed`."""
    difference_interval: Span | None
    """95 % interval of other − base, in `unit`."""
    more_than_noise: bool | None
    """Whether the interval leaves out that both sides are the same; None where it cannot be told,
    and a note says why."""
    runs_for_5_percent: int | None = None
    """So many runs a side, or pairs, would find a change of 5 % four times in five; None where the
    runs there are do not say."""

    @property
    def change(self) -> float | None:
        """In % of base, of a share in percentage points."""
        if self.unit == "%":
            return None if self.base is None or self.other is None else self.other - self.base
        return None if self.ratio is None else 100 * (self.ratio - 1)

    @property
    def change_interval(self) -> Span | None:
        """95 % interval of the change."""
        if self.unit == "%" or self.ratio_interval is None:
            return self.difference_interval if self.unit == "%" else None
        low, high = self.ratio_interval
        return 100 * (low - 1), 100 * (high - 1)

    @property
    def change_unit(self) -> str:
        """Of the change."""
        return "points" if self.unit == "%" else "%"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two sides, figure by figure."""

    base: str
    """Name of the run, or of the runs, that the others are compared with."""
    other: str
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    """What to keep in mind: how the runs are unlike, and what cannot be told."""
    outage: str | None = None
    """What went down in another run and in none of the first, if anything did."""
    runs: tuple[int, int] = (1, 1)
    """How many there are on each side."""
    paired: bool = False
    """Whether the runs took turns under the same schedule, and are compared pair by pair."""

    @property
    def by_name(self) -> dict[str, Difference]:
        """The differences, by their figures' names."""
        return {one.name: one for one in self.differences}


@dataclass(frozen=True, slots=True)
class Comparable:
    """A run, read, as far as it is compared."""

    path: Path
    info: RunInfo
    series: RunSeries
    schedule: tuple[object, ...] | None
    """What fixed the instants of its requests; None where that is not known."""


def compare(base: Sequence[Path], other: Sequence[Path]) -> Comparison:
    """The runs in the directories `other` compared with those in `base`.

    Raises:
        UsageError: one of them is not a run's directory.
    """
    return compare_runs(*([read_comparable(path) for path in side] for side in (base, other)))


def read_comparable(path: Path) -> Comparable:
    """The run in the directory `path`.

    Raises:
        UsageError: it is not a run's directory.
    """
    whole = path.resolve()
    try:
        record = read_run(whole.parent, whole.name)
    except UnknownRunError:
        raise UsageError(f"{path} is not a run's directory: it has no run.json") from None
    answered_s = record.result.answered_s if record.result is not None else None
    series = read_series(whole, record.points, record.info.duration_s, answered_s)
    return Comparable(whole, record.info, series, _schedule(record))


def compare_runs(base: Sequence[Comparable], other: Sequence[Comparable]) -> Comparison:
    """Two sides compared that have been read."""
    sides = [sorted(side, key=lambda run: run.info.started) for side in (base, other)]
    infos = [[run.info for run in side] for side in sides]
    first, second = ([run.series for run in side] for side in sides)
    return compare_series(
        first,
        second,
        names=_names(*sides),
        notes=_unlike(*infos),
        paired=_took_turns(*sides),
    )


def compare_series(
    base: Sequence[RunSeries],
    other: Sequence[RunSeries],
    *,
    names: tuple[str, str] = ("base", "other"),
    notes: Sequence[str] = (),
    paired: bool = False,
) -> Comparison:
    """Two sides compared; `paired` says that both had the very same schedule, one by one.

    What the buckets of the histograms round widens an interval.
    """
    alone = len(base) == len(other) == 1
    found = within.apart(base[0], other[0], paired) if alone else between.apart(base, other, paired)
    down = next(filter(None, (_down(base, run) for run in other)), None)
    is_down = down is not None or any(_down(other, run) for run in base)
    rounded = [
        0.0 if unit == "%" else _RESOLUTION + (_rounding(one, base, other) if unit == "ms" else 0)
        for one, unit in zip(found, UNITS, strict=True)
    ]
    differences = tuple(map(_difference, NAMES, UNITS, found, rounded, repeat(is_down)))
    told = [f"{names[1]}: {down}"] if down is not None else []
    told += [*notes, *_remarks(names, (base, other)), *_doubts(found, differences)]
    return Comparison(
        base=names[0],
        other=names[1],
        differences=differences,
        notes=(*told, _UNSEEN) if alone else tuple(told),
        outage=down,
        runs=(len(base), len(other)),
        paired=paired,
    )


def _down(side: Sequence[RunSeries], run: RunSeries) -> str | None:
    """What went down in `run`, and in none of `side`."""
    found = None
    for each in side:
        found = outage(each, run)
        if found is None:
            break
    return found


def _rounding(one: Apart, base: Sequence[RunSeries], other: Sequence[RunSeries]) -> float:
    """By what share the ratio may be off as latencies were rounded."""
    return rounding(base[0], one.base) + rounding(other[0], one.other)


def _difference(name: str, unit: str, one: Apart, rounded: float, is_down: bool) -> Difference:
    base, other = one.base, one.other
    ratio_interval = difference_interval = more_than_noise = None
    if one.span is not None and unit == "%":
        difference_interval = one.span
        more_than_noise = not one.span[0] <= 0 <= one.span[1]
    elif one.span is not None:
        ratio_interval = low, high = _widened(one.span, _ratio(base, other), rounded)
        if math.isfinite(base):
            difference_interval = base * (low - 1), base * (high - 1)
        more_than_noise = not low <= 1 <= high
    if is_down and base != other and (unit == "%" or _is_far(base, other)):
        # An outage shows in the failures, and in every percentile that it reaches.
        more_than_noise = True
    told = not math.isnan(base + other) and not (base == other and base in (0.0, math.inf))
    return Difference(
        name=name,
        unit=unit,
        base=None if math.isnan(base) else base,
        other=None if math.isnan(other) else other,
        ratio=_ratio(base, other) if told else None,
        ratio_interval=ratio_interval,
        difference_interval=difference_interval,
        more_than_noise=more_than_noise,
        runs_for_5_percent=one.runs_for_5_percent,
    )


def _widened(span: Span, ratio: float, rounded: float) -> Span:
    """The interval of a ratio that may be off by `rounded` as well."""
    if not 0 < span[0] <= ratio <= span[1] < math.inf:
        return span
    low, high = (math.hypot(math.log(ratio / end), rounded) for end in span)
    return ratio * math.exp(-low), ratio * math.exp(high)


def _ratio(base: float, other: float) -> float:
    return other / base if base else math.inf


def _is_far(base: float, other: float) -> bool:
    return max(base, other) >= SLOWER * min(base, other)


def _doubts(found: Sequence[Apart], differences: Sequence[Difference]) -> list[str]:
    """Which figures cannot be told apart from chance, and why."""
    names: dict[str, list[str]] = {}
    for one, difference in zip(found, differences, strict=True):
        if difference.more_than_noise is None:
            names.setdefault(one.doubt, []).append(difference.name)
    return [f"{', '.join(alike)}: {doubt}" for doubt, alike in names.items()]


def _remarks(
    names: tuple[str, str], sides: tuple[Sequence[RunSeries], Sequence[RunSeries]]
) -> Iterator[str]:
    for name, side in zip(names, sides, strict=True):
        few = min(map(len, side))
        if few < within.LEAST_BATCHES and len(sides[0]) == len(sides[1]) == 1:
            yield (
                f"{name} has {few} interval{'s' * (few != 1)}; with fewer than "
                f"{within.LEAST_BATCHES} nothing can be said about chance: "
                "let it run for longer, or choose a shorter --interval"
            )
        unread = sum(series.unread for series in side)
        if unread:
            yield f"{unread} intervals of {name} cannot be read and are left out"
        failed = sum(float(series.failed.sum()) for series in side)
        answered = sum(float(series.counts.sum()) for series in side)
        if failed:
            yield (
                f"{format_digits(100 * failed / (failed + answered))} % of the requests of {name} "
                "failed; they count as slower than any other, and not in the mean"
            )


def _unlike(base: Sequence[RunInfo], other: Sequence[RunInfo]) -> list[str]:
    notes = [
        f"the {what} differs: {shown[0]} against {shown[1]}"
        for what, of in (
            ("target", attrgetter("target")),
            ("arrival process", attrgetter("arrivals")),
            ("profile of the rate", attrgetter("profile")),
        )
        if len(set(shown := [_shown(map(of, side)) for side in (base, other)])) > 1
    ]
    a, b = (median(info.duration_s for info in side) for side in (base, other))
    if not _alike(a, b):
        notes.append(f"the duration differs: {a:,.3g} s against {b:,.3g} s")
    infos = (*base, *other)
    notes += [
        f"{info.name} is {info.state}, not finished: what it has so far is compared"
        for info in infos
        if info.state != "finished"
    ]
    notes += [f"{info.name}: {problem}" for info in infos for problem in info.problems]
    return notes


def _alike(one_s: float, another_s: float) -> bool:
    return abs(one_s - another_s) <= _ALIKE * max(one_s, another_s)


def _shown(values: Iterable[str]) -> str:
    return ", ".join(sorted({value or "unknown" for value in values}))


def _names(base: Sequence[Comparable], other: Sequence[Comparable]) -> tuple[str, str]:
    """Of a run its own, of several that of the directory that they alone are in."""
    places = [{run.path.parent for run in side} for side in (base, other)]

    def name(side: Sequence[Comparable], own: set[Path], others: set[Path]) -> str:
        first, last = side[0].path, side[-1].path
        if len(side) == 1:
            return first.name
        alone = len(own) == 1 and own.isdisjoint(others)
        called = first.parent.name if alone else f"{first.name} … {last.name}"
        return f"{called} ({len(side)} runs)"

    return name(base, *places), name(other, *places[::-1])


def _took_turns(base: Sequence[Comparable], other: Sequence[Comparable]) -> bool:
    """Whether each run of a side has its peer on the other: of the same schedule, and begun before
    the next two. Both sides are in the order of their starts.
    """
    schedules = [run.schedule for run in base]
    if None in schedules or schedules != [run.schedule for run in other]:
        return False
    pairs = [(a.info, b.info) for a, b in zip(base, other, strict=True)]
    begun = [sorted(info.started for info in pair) for pair in pairs]
    return all(first[-1] < second[0] for first, second in pairwise(begun)) and all(
        _alike(*(info.duration_s for info in pair)) for pair in pairs
    )


def _schedule(record: RunRecord) -> tuple[object, ...] | None:
    """What fixed the instants of a run's requests; None where that is not known, or was changed
    while it ran.
    """
    changed = any(event.kind in ("rate", "profile") for p in record.points for event in p.events)
    if record.result is None or not record.points or changed:
        return None
    return record.info.arrivals, record.info.profile, record.result.seed
