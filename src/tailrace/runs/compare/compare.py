"""Two runs compared: each figure's ratio, and whether it is more than chance makes of it.

The unit of chance is a stretch of consecutive intervals, not a request: see `bootstrap`. Such
stretches are drawn from a run until it is full again, their histograms added up, and the figures
taken of the sum, 2,000 times over. How the ratio of two such figures spreads is how far the
measured one can be trusted.

Runs with the very same schedule (arrivals, profile, seed) are drawn at the same places: a burst of
arrivals that both of them met then says nothing for or against either.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np

from tailrace.errors import UsageError
from tailrace.runs.compare.chance import (
    SLOWER,
    block_length,
    draw_weights,
    outage,
    tail_of_interval,
)
from tailrace.runs.compare.series import (
    NAMES,
    UNITS,
    FloatArray,
    RunSeries,
    figures,
    influences,
    occasions,
    read_series,
    rounding,
)
from tailrace.runs.listing import RunInfo, RunRecord, UnknownRunError, read_run
from tailrace.units import format_digits

LEAST_STRETCHES = 10
"""With fewer in either run nothing can be said of chance."""
_LEAST_OCCASIONS = 5
"""Separate stretches that a figure has to rest on."""
_RESOLUTION = 1e-3
"""Latencies and rates have three digits: what differs by less does not differ."""
_ALIKE = 0.1
"""Durations that differ by a smaller share are not worth a note."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of two runs.

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
    ratio_interval: tuple[float, float] | None
    """95 % interval of the ratio; None where it cannot be told."""
    difference_interval: tuple[float, float] | None
    """95 % interval of other − base, in `unit`."""
    more_than_noise: bool | None
    """Whether the intervals leave out that both runs are the same; None where it cannot be told,
    and a note says why."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs, figure by figure."""

    base: str
    """Name of the run that the other is compared with."""
    other: str
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    """What to keep in mind: how the runs are unlike, and what cannot be told."""
    outage: str | None = None
    """What went down in the other run and not in the first, if anything did."""


def compare(base: Path, other: Path, *, resamples: int = 2000, seed: int = 1) -> Comparison:
    """The run in the directory `other` compared with the one in `base`.

    Raises:
        UsageError: one of them is not a run's directory.
    """
    sides = read_comparable(base), read_comparable(other)
    return compare_runs(*sides, resamples=resamples, seed=seed)


@dataclass(frozen=True, slots=True)
class Comparable:
    """A run, read, as far as it is compared."""

    info: RunInfo
    series: RunSeries
    schedule: tuple[object, ...] | None
    """What fixed the instants of its requests; None where that is not known."""


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
    return Comparable(record.info, series, _schedule(record))


def compare_runs(
    base: Comparable, other: Comparable, *, resamples: int = 2000, seed: int = 1
) -> Comparison:
    """Two runs compared that have been read."""
    return compare_series(
        base.series,
        other.series,
        names=(base.info.name, other.info.name),
        notes=_unlike(base.info, other.info),
        paired=base.schedule is not None and base.schedule == other.schedule,
        resamples=resamples,
        seed=seed,
    )


def compare_series(
    base: RunSeries,
    other: RunSeries,
    *,
    names: tuple[str, str] = ("base", "other"),
    notes: Sequence[str] = (),
    paired: bool = False,
    resamples: int = 2000,
    seed: int = 1,
) -> Comparison:
    """Two series compared; `paired` says that both had the very same schedule.

    An interval is the expanded percentile interval of the resamples, widened by what the buckets of
    the histograms round.
    """
    pair = (base, other)
    measured = [figures(series)[0] for series in pair]
    told = [*notes, *chain(*map(_remarks, names, pair))]
    draws = None
    if min(map(len, pair)) >= LEAST_STRETCHES:
        draws = _draw(pair, measured, paired and len(base) == len(other), resamples, seed)
    down = outage(base, other)
    is_down = down is not None or outage(other, base) is not None
    differences = [
        _difference(column, pair, [float(values[column]) for values in measured], draws, is_down)
        for column in range(len(NAMES))
    ]
    if down is not None:
        told.insert(0, f"{names[1]}: {down}")
    if draws is not None:
        told += _doubts(draws, {one.name for one in differences if one.more_than_noise})
    return Comparison(
        base=names[0],
        other=names[1],
        differences=tuple(differences),
        notes=tuple(told),
        outage=down,
    )


@dataclass(frozen=True, slots=True)
class _Draws:
    """Figures of the resamples, float64 [resamples, len(NAMES)] of each run, and how much news of
    each figure, [len(NAMES)], they rest on.
    """

    base: FloatArray
    other: FloatArray
    occasions: FloatArray


def _draw(
    pair: tuple[RunSeries, RunSeries],
    measured: Sequence[FloatArray],
    paired: bool,
    resamples: int,
    seed: int,
) -> _Draws:
    lengths = [block_length(influences(*of_one)) for of_one in zip(pair, measured, strict=True)]
    if paired:
        lengths = [max(lengths)] * 2
    seeds = (2 * seed, 2 * seed if paired else 2 * seed + 1)
    base, other = (
        figures(series, draw_weights(len(series), length, resamples, own_seed))
        for series, length, own_seed in zip(pair, lengths, seeds, strict=True)
    )
    news = [occasions(*of_one) for of_one in zip(pair, measured, lengths, strict=True)]
    # A percentile needs news of it from both runs, a share of failures from either.
    rests_on = np.where(np.array(NAMES) == "failed", sum(news), np.minimum(*news))
    return _Draws(base, other, rests_on)


def _difference(
    column: int,
    pair: tuple[RunSeries, RunSeries],
    values: Sequence[float],
    draws: _Draws | None,
    is_down: bool,
) -> Difference:
    base, other = values
    ratio_interval = difference_interval = None
    if draws is not None and _enough(draws.occasions[column]) and not np.isnan(values).any():
        tail = tail_of_interval(float(draws.occasions[column]))
        drawn = draws.base[:, column], draws.other[:, column]
        rounded = 0.0 if UNITS[column] == "%" else _RESOLUTION
        if UNITS[column] == "ms":
            rounded += sum(map(rounding, pair, values))
        low, high = _interval(_ratio(*drawn), tail)
        ratio_interval = low / (1 + rounded), high * (1 + rounded)
        low, high = _interval(_gap(*drawn), tail)
        margin = rounded * max(value for value in (0.0, *values) if math.isfinite(value))
        difference_interval = low - margin, high + margin
    told = not np.isnan(values).any() and not (base == other and base in (0.0, math.inf))
    more_than_noise = None
    if is_down and base != other and (UNITS[column] == "%" or _is_far(base, other)):
        # An outage shows in the failures, and in every percentile that it reaches.
        more_than_noise = True
    elif ratio_interval is not None:
        more_than_noise = not ratio_interval[0] <= 1 <= ratio_interval[1]
    return Difference(
        name=NAMES[column],
        unit=UNITS[column],
        base=None if math.isnan(base) else base,
        other=None if math.isnan(other) else other,
        ratio=float(_ratio(*np.array(values))) if told else None,
        ratio_interval=ratio_interval,
        difference_interval=difference_interval,
        more_than_noise=more_than_noise,
    )


def _is_far(base: float, other: float) -> bool:
    return bool(max(base, other) >= SLOWER * min(base, other))


def _ratio(base: FloatArray, other: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0 of 0 and infinite of infinite: the same.
        return np.where(base == other, 1.0, other / base)


def _gap(base: FloatArray, other: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore"):
        return np.where(base == other, 0.0, other - base)


def _interval(values: FloatArray, tail: float) -> tuple[float, float]:
    # Values may be infinite, between which there is nothing to interpolate.
    low, high = np.quantile(values[~np.isnan(values)], (tail, 1 - tail), method="inverted_cdf")
    return float(low), float(high)


def _enough(occasions: float) -> bool:
    # No failure in either run is no doubt, but news of its own.
    return occasions == 0 or occasions >= _LEAST_OCCASIONS


def _doubts(draws: _Draws, told: Collection[str]) -> list[str]:
    """Which figures cannot be told apart from chance, and why, but for those `told` without."""
    names: dict[int, list[str]] = {}
    for name, few in zip(NAMES, draws.occasions, strict=True):
        if not _enough(few) and name not in told:
            names.setdefault(int(few), []).append(name)
    return [
        f"{', '.join(alike)}: too little to tell from chance, what is at or beyond it fell into "
        f"{few} separate {'stretch' if few == 1 else 'stretches'} of a run"
        for few, alike in names.items()
    ]


def _remarks(name: str, series: RunSeries) -> list[str]:
    remarks = []
    if len(series) < LEAST_STRETCHES:
        remarks.append(
            f"{name} has {len(series)} intervals; with fewer than {LEAST_STRETCHES} nothing can be "
            "said about chance: let it run for longer, or choose a shorter --interval"
        )
    if series.unread:
        remarks.append(f"{series.unread} intervals of {name} cannot be read and are left out")
    failed, answered = series.failed.sum(), series.counts.sum()
    if failed:
        remarks.append(
            f"{format_digits(100 * failed / (failed + answered))} % of the requests of {name} "
            "failed; they count as slower than any other, and not in the mean"
        )
    return remarks


def _unlike(base: RunInfo, other: RunInfo) -> list[str]:
    notes = [
        f"the {what} differs: {_shown(a)} against {_shown(b)}"
        for what, a, b in (
            ("target", base.target, other.target),
            ("arrival process", base.arrivals, other.arrivals),
            ("profile of the rate", base.profile, other.profile),
        )
        if a != b
    ]
    shorter, longer = sorted((base.duration_s, other.duration_s))
    if longer - shorter > _ALIKE * longer:
        notes.append(
            f"the duration differs: {base.duration_s:,.3g} s against {other.duration_s:,.3g} s"
        )
    notes += [
        f"{info.name} is {info.state}, not finished: what it has so far is compared"
        for info in (base, other)
        if info.state != "finished"
    ]
    notes += [f"{info.name}: {problem}" for info in (base, other) for problem in info.problems]
    return notes


def _shown(value: str) -> str:
    return value or "unknown"


def _schedule(record: RunRecord) -> tuple[object, ...] | None:
    """What fixed the instants of a run's requests and its intervals; None where that is not known,
    or was changed while it ran.
    """
    changed = any(event.kind in ("rate", "profile") for p in record.points for event in p.events)
    if record.result is None or not record.points or changed:
        return None
    info = record.info
    return info.arrivals, info.profile, record.result.seed, round(record.points[0].interval_s, 2)
