"""Figures that are drawn here, as SVG, and so are there without a script: the percentile curve and
the distribution of latency.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from tailrace.load.judge.confidence import percentile_interval_us
from tailrace.load.measure.histogram import BINS_PER_DECADE, Histogram
from tailrace.report.subject import Subject
from tailrace.view.markup import Content, Markup, h
from tailrace.view.svg import Area, LogAxis, drawing, path, ticks_of

_WIDTH, _HEIGHT = 620, 300
_AREA = Area(left=52, right=_WIDTH - 24, top=14, bottom=_HEIGHT - 40)
_STEP = 0.05
"""Of the curve along its axis: so many decades of the share above a percentile."""
_BAND_STEP = 0.1
_NAMED = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)

_Place = Callable[[float], float]


def draw_percentiles(subjects: Sequence[Subject]) -> Markup | None:
    """Latency by percentile, each further nine as wide as the one before (HdrHistogram's axis), and
    the band in which the percentile lies with 95 % confidence. None where nothing was answered.
    """
    shown = [subject for subject in subjects if subject.latency.total]
    if not shown:
        return None
    deepest = max(_depth_of(subject.latency) for subject in shown)
    values = [_ms(subject.latency, p) for subject in shown for p in (1.0, 100.0)]
    slos = _slos(subjects)
    up = _AREA.log_up([*values, *(bound for _, bound in slos)])

    def across(depth: float) -> float:
        return round(_AREA.left + depth / deepest * (_AREA.right - _AREA.left), 1)

    named = [percent for percent in _NAMED if _depth(percent) <= deepest]
    return _figure(
        f"Latency by percentile of {_names(shown)}",
        _AREA.levels(ticks_of(up)),
        _AREA.rules((across(_depth(percent)), f"p{percent:g}") for percent in named),
        _AREA.units("ms", "percentile; each further nine has the same room"),
        [_band(subject, _run(subjects, subject), across, up) for subject in shown],
        [_curve(subject, _run(subjects, subject), across, up, named) for subject in shown],
        [_AREA.bound(up.place(bound), f"SLO {text}") for text, bound in slos],
    )


def draw_distribution(subjects: Sequence[Subject]) -> Markup | None:
    """The share of answers in each bin of latency, 12 % wide. None where nothing was answered."""
    shown = [subject for subject in subjects if subject.latency.total]
    if not shown:
        return None
    shares = [_shares(subject.latency) for subject in shown]
    edges = [_edge_ms(number) for bins in shares for number in (min(bins), max(bins) + 1)]
    across = _AREA.log_across(edges)
    highest = max(max(bins.values()) for bins in shares) * 1.08
    step = _round_step(highest)

    def up(share: float) -> float:
        return round(_AREA.bottom - share / highest * (_AREA.bottom - _AREA.top), 1)

    levels = [number * step for number in range(int(highest / step) + 1)]
    return _figure(
        f"Distribution of latency of {_names(shown)}",
        _AREA.levels((up(level), f"{100 * level:g}") for level in levels),
        _AREA.rules(ticks_of(across)),
        _AREA.units("%", "latency, ms; share of answers in each 12 % of it"),
        [
            _outline(bins, _run(subjects, subject), across, up)
            for subject, bins in zip(shown, shares, strict=True)
        ],
    )


def _figure(about: str, *content: Content) -> Markup:
    return drawing((_WIDTH, _HEIGHT), about, *content, class_="figure")


def _names(subjects: Iterable[Subject]) -> str:
    return ", ".join(subject.name for subject in subjects)


def _run(subjects: Sequence[Subject], subject: Subject) -> str:
    return f"run-{subjects.index(subject)}" if len(subjects) > 1 else "alone"


def _slos(subjects: Iterable[Subject]) -> list[tuple[str, float]]:
    return sorted(
        {(slo.expression, 1000 * slo.bound_s) for subject in subjects for slo in subject.slos}
    )


def _depth(percent: float) -> float:
    return -math.log10(1 - percent / 100)


def _depth_of(latency: Histogram) -> float:
    return max(1.0, math.log10(latency.total))


def _ms(latency: Histogram, percent: float) -> float:
    return latency.percentile_us(percent)[0] / 1000


def _percents(latency: Histogram, step: float) -> list[tuple[float, float]]:
    """Depths, and their percentiles, as far as there is a sample for each."""
    steps = int(math.log10(latency.total) / step + 1e-9) if latency.total > 1 else 0
    return [(number * step, 100 * (1 - 10 ** (-number * step))) for number in range(steps + 1)]


def _curve(
    subject: Subject, run: str, across: _Place, up: LogAxis, named: Iterable[float]
) -> Content:
    depths, percents = zip(*_percents(subject.latency, _STEP), strict=True)
    values = subject.latency.percentile_us(*percents)
    line = path(
        (across(depth), up.place(us / 1000)) for depth, us in zip(depths, values, strict=True)
    )
    dots = [
        h(
            "circle",
            h("title", f"{subject.name} p{percent:g}: {_ms(subject.latency, percent):,.4g} ms"),
            cx=across(_depth(percent)),
            cy=up.place(_ms(subject.latency, percent)),
            r=3.5,
        )
        for percent in named
        if _depth(percent) <= depths[-1]
    ]
    return h("g", h("path", d=line, class_="line"), dots, class_=run)


def _band(subject: Subject, run: str, across: _Place, up: LogAxis) -> Content:
    sides = [
        (across(depth), up.place(interval[0] / 1000), up.place(interval[1] / 1000))
        for depth, percent in _percents(subject.latency, _BAND_STEP)
        if percent and (interval := percentile_interval_us(subject.latency, percent)) is not None
    ]
    if not sides:
        return None
    lower = [(x, low) for x, low, _ in sides]
    upper = [(x, high) for x, _, high in reversed(sides)]
    return h("path", d=f"{path(lower + upper)}Z", class_=f"band {run}")


def _outline(bins: dict[int, float], run: str, across: LogAxis, up: _Place) -> Markup:
    first, last = min(bins), max(bins)
    corners = [(across.place(_edge_ms(first)), up(0))]
    for number in range(first, last + 1):
        level = up(bins.get(number, 0.0))
        corners.append((across.place(_edge_ms(number)), level))
        corners.append((across.place(_edge_ms(number + 1)), level))
    corners.append((across.place(_edge_ms(last + 1)), up(0)))
    return h(
        "g",
        h("path", d=f"{path(corners)}Z", class_="area"),
        h("path", d=path(corners), class_="line"),
        class_=run,
    )


def _shares(latency: Histogram) -> dict[int, float]:
    return {n: count / latency.total for n, count in latency.bins(BINS_PER_DECADE).items()}


def _edge_ms(number: int) -> float:
    return float(10 ** (number / BINS_PER_DECADE - 3))


def _round_step(highest: float) -> float:
    """The smallest of 1, 2, 5 × 10^n with which an axis up to `highest` has five steps at most."""
    decade = 10.0 ** math.floor(math.log10(highest / 5))
    return next(m * decade for m in (1, 2, 5, 10) if 5 * m * decade >= highest * (1 - 1e-9))
