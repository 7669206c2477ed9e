"""Latency of whole runs: a table of percentiles, and figures that are drawn here as SVG, so that
they are there without a script; and the stages that the service says it consists of.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from tailrace.load.judge.dependence import interval_us
from tailrace.load.measure.histogram import BINS_PER_DECADE, Histogram
from tailrace.load.measure.point import STATISTICS, times_of
from tailrace.report.subject import Subject
from tailrace.units import NONE, number
from tailrace.view.charts import COLOURS, LISTED, tell_slos
from tailrace.view.markup import Content, Markup, h
from tailrace.view.parts import card, listed, section, table
from tailrace.view.svg import Area, LogAxis, drawing, path, ticks_of

_WIDTH, _HEIGHT = 620, 300
_AREA = Area(left=52, right=_WIDTH - 24, top=14, bottom=_HEIGHT - 40)
_STEP = 0.05
"""Of the curve along its axis: so many decades of the share above a percentile."""
_BAND_STEP = 0.1
_NAMED = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)

_Place = Callable[[float], float]


def latency(subjects: Sequence[Subject]) -> Markup:
    """Tables and figures of all runs."""
    drawn = [
        h("figure", h("figcaption", title), drawing, class_="card")
        for title, drawing in (
            ("By percentile", draw_percentiles(subjects)),
            ("Distribution", draw_distribution(subjects)),
        )
        if drawing is not None
    ]
    missing = [
        f"{subject.name}: latency.hlog has nothing that can be read, so it is in neither figure."
        for subject in subjects
        if not subject.latency.total and subject.info.completed
    ]
    return section(
        "latency",
        "Latency",
        card(table("percentiles-table", ["", *LISTED], _percentiles(subjects))),
        h("div", drawn, class_="pair") if drawn else None,
        listed(missing, "notes"),
        about="ms, of answered requests, from each one's intended time",
    )


def _percentiles(subjects: Iterable[Subject]) -> list[tuple[Content, ...]]:
    rows: list[tuple[Content, ...]] = []
    for subject in subjects:
        named: Content = [subject.chip, " Latency"] if subject.chip else "Latency"
        values = [h("b", number(subject.result.latency_ms.get(name))) for name in LISTED]
        spans = [h("span", subject.interval(name) or NONE, class_="dim") for name in LISTED]
        rows += [(named, *values), ("95 % interval", *spans)]
        for label, times in times_of(subject.result)[1:] if subject.is_over else ():
            values_ms = (number(times.get(name)) for name in LISTED)
            rows.append((label[:1].upper() + label[1:], *values_ms))
    return rows


def stages(subjects: Sequence[Subject]) -> Content:
    """A bar of mean times and a table for each run that has stages; nothing without any."""
    told = [subject for subject in subjects if subject.result.stages_ms]
    if not told:
        return None
    longest = max(sum(_means(subject).values()) for subject in told)
    colours = _colours(subjects)
    named = dict.fromkeys(name for subject in told for name in _means(subject))
    legend = [
        h("span", h("i", class_="swatch", style=f"background: {colours[name]}"), name)
        for name in named
    ]
    return section(
        "stages",
        "Stages of the service",
        h(
            "div",
            [_bar(subject, longest, colours) for subject in told],
            h("div", legend, class_="bar-legend"),
            class_="card bars",
        ),
        [_table(subject) for subject in told],
        about="ms, as the service says in Server-Timing",
    )


def _means(subject: Subject) -> dict[str, float]:
    return {
        name: one.mean for name, one in subject.result.stages_ms.items() if one.mean is not None
    }


def _colours(subjects: Sequence[Subject]) -> dict[str, str]:
    """By stage, as the charts have them: of the intervals' stages, in the order of their coming."""
    named = [point.stages_ms for subject in subjects for point in subject.record.points]
    named += [subject.result.stages_ms for subject in subjects]
    names = dict.fromkeys(name for one in named for name in one)
    return {name: f"var(--c-stage-{place % COLOURS})" for place, name in enumerate(names)}


def _bar(subject: Subject, longest: float, colours: Mapping[str, str]) -> Markup:
    means = _means(subject)
    parts = [
        h(
            "span",
            class_="part",
            style=f"width: {100 * mean / longest:.3f}%; background: {colours[name]}",
            title=f"{name} {number(mean)} ms",
        )
        for name, mean in means.items()
    ]
    return h(
        "div",
        h("span", subject.chip, " mean ", number(sum(means.values())), " ms"),
        h("div", parts, class_="bar"),
        class_="bar-row",
    )


def _table(subject: Subject) -> Markup:
    rows = [
        (name, *(number(percentiles.get(one)) for one in STATISTICS))
        for name, percentiles in subject.result.stages_ms.items()
    ]
    return card(table("stages-table", [[subject.chip, " Stage"], *STATISTICS], rows))


def draw_percentiles(subjects: Sequence[Subject]) -> Markup | None:
    """Latency by percentile, each further nine as wide as the one before (HdrHistogram's axis), and
    the band in which the percentile lies with 95 % confidence. None where nothing was answered.
    """
    shown = [subject for subject in subjects if subject.latency.total]
    if not shown:
        return None
    deepest = max(1.0, *(math.log10(subject.latency.total) for subject in shown))
    values = [_ms(subject.latency, percent) for subject in shown for percent in (1.0, 100.0)]
    slos = sorted(
        {
            (told["expression"], told["bound_ms"])
            for subject in subjects
            for told in tell_slos(subject.slos)
        }
    )
    up = _AREA.log_up([*values, *(bound for _, bound in slos)])

    def across(depth: float) -> float:
        return round(_AREA.left + depth / deepest * (_AREA.right - _AREA.left), 1)

    named = [percent for percent in _NAMED if _depth(percent) <= deepest]
    return _figure(
        "Latency by percentile",
        shown,
        _AREA.levels(ticks_of(up)),
        _AREA.rules((across(_depth(percent)), f"p{percent:g}") for percent in named),
        _AREA.units("ms", "percentile; each further nine has the same room"),
        [_band(subject, across, up) for subject in shown],
        [_curve(subject, across, up, named) for subject in shown],
        [_AREA.bound(up.place(bound), f"SLO {text}") for text, bound in slos],
    )


def draw_distribution(subjects: Sequence[Subject]) -> Markup | None:
    """The share of answers in each bin of latency, 12 % wide. None where nothing was answered."""
    shown = [subject for subject in subjects if subject.latency.total]
    if not shown:
        return None
    shares = [_shares(subject.latency) for subject in shown]
    edges = [_edge_ms(place) for bins in shares for place in (min(bins), max(bins) + 1)]
    across = _AREA.log_across(edges)
    highest = max(max(bins.values()) for bins in shares) * 1.08
    step = _round_step(highest)

    def up(share: float) -> float:
        return round(_AREA.bottom - share / highest * (_AREA.bottom - _AREA.top), 1)

    levels = [place * step for place in range(int(highest / step) + 1)]
    return _figure(
        "Distribution of latency",
        shown,
        _AREA.levels((up(level), f"{100 * level:g}") for level in levels),
        _AREA.rules(ticks_of(across)),
        _AREA.units("%", "latency, ms; share of answers in each 12 % of it"),
        [
            _outline(bins, subject.look, across, up)
            for subject, bins in zip(shown, shares, strict=True)
        ],
    )


def _figure(about: str, subjects: Iterable[Subject], *content: Content) -> Markup:
    names = ", ".join(subject.name for subject in subjects)
    return drawing((_WIDTH, _HEIGHT), f"{about} of {names}", *content, class_="figure")


def _depth(percent: float) -> float:
    return -math.log10(1 - percent / 100)


def _ms(latency: Histogram, percent: float) -> float:
    return latency.percentile_us(percent)[0] / 1000


def _percents(latency: Histogram, step: float) -> list[tuple[float, float]]:
    """Depths, and their percentiles, as far as there is a sample for each."""
    steps = int(math.log10(latency.total) / step + 1e-9) if latency.total > 1 else 0
    return [(place * step, 100 * (1 - 10 ** (-place * step))) for place in range(steps + 1)]


def _curve(subject: Subject, across: _Place, up: LogAxis, named: Iterable[float]) -> Content:
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
    return h("g", h("path", d=line, class_="line"), dots, class_=subject.look)


def _band(subject: Subject, across: _Place, up: LogAxis) -> Content:
    sides = [
        (across(depth), up.place(interval[0] / 1000), up.place(interval[1] / 1000))
        for depth, percent in _percents(subject.latency, _BAND_STEP)
        if percent and (interval := interval_us(subject.stretches, percent)) is not None
    ]
    if not sides:
        return None
    lower = [(x, low) for x, low, _ in sides]
    upper = [(x, high) for x, _, high in reversed(sides)]
    return h("path", d=f"{path(lower + upper)}Z", class_=f"band {subject.look}")


def _outline(bins: Mapping[int, float], look: str, across: LogAxis, up: _Place) -> Markup:
    first, last = min(bins), max(bins)
    corners = [(across.place(_edge_ms(first)), up(0))]
    for place in range(first, last + 1):
        level = up(bins.get(place, 0.0))
        corners.append((across.place(_edge_ms(place)), level))
        corners.append((across.place(_edge_ms(place + 1)), level))
    corners.append((across.place(_edge_ms(last + 1)), up(0)))
    return h(
        "g",
        h("path", d=f"{path(corners)}Z", class_="area"),
        h("path", d=path(corners), class_="line"),
        class_=look,
    )


def _shares(latency: Histogram) -> dict[int, float]:
    return {n: count / latency.total for n, count in latency.bins().items()}


def _edge_ms(place: int) -> float:
    return float(10 ** (place / BINS_PER_DECADE - 3))


def _round_step(highest: float) -> float:
    """The smallest of 1, 2, 5 × 10^n with which an axis up to `highest` has five steps at most."""
    decade = 10.0 ** math.floor(math.log10(highest / 5))
    return next(m * decade for m in (1, 2, 5, 10) if 5 * m * decade >= highest * (1 - 1e-9))
