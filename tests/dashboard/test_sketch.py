"""Profiles drawn before they run."""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.dashboard.sketch import HEIGHT, MAX_LETTERS, WIDTH, sketch
from tailrace.errors import UsageError

RATES = st.floats(0.01, 1e6)


def line(svg: str) -> list[tuple[float, float]]:
    """The corners of the line; the SVG is well-formed XML."""
    paths = ElementTree.fromstring(svg).findall("path")
    (drawn,) = [path.get("d", "") for path in paths if path.get("class") == "line"]
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", drawn)]


@pytest.mark.parametrize(
    ("expression", "duration_s", "peak", "mean", "over", "requests"),
    [
        ("200", None, "200/s", "200/s", "1:00, and on", "12,000"),
        ("200", 30.0, "200/s", "200/s", "0:30", "6,000"),
        ("0..100/60s", None, "100/s", "50.0/s", "1:00, and on", "3,000"),
        ("0..100/60s", 120.0, "100/s", "75.0/s", "2:00", "9,000"),
        ("sine(mean=300,amp=200,period=120s)", None, "500/s", "300/s", "6:00, and on", "108,000"),
        ("burst(base=0,peak=100,every=10s,for=1s)", None, "100/s", "10.0/s", "0:30, and on", "300"),
        ("100@30s,200@30s,50", None, "200/s", "130/s", "1:15, and on", "9,750"),
    ],
)
def test_what_a_profile_amounts_to(
    expression: str, duration_s: float | None, peak: str, mean: str, over: str, requests: str
) -> None:
    drawn = sketch(expression, duration_s)
    assert (drawn.peak, drawn.mean, drawn.over, drawn.requests) == (peak, mean, over, requests)


@given(RATES, RATES)
def test_a_ramp_is_a_straight_line_within_the_picture(start: float, end: float) -> None:
    corners = line(sketch(f"{start:f}..{end:f}/60s").svg)
    assert corners[0][0] == 0
    assert corners[-1][0] == WIDTH
    assert all(0 <= y <= HEIGHT for _, y in corners)
    rises = [after - before for (_, before), (_, after) in pairwise(corners)]
    direction = (start > end) - (start < end)
    assert all(rise * direction >= 0 for rise in rises)


def test_no_burst_falls_between_two_columns() -> None:
    corners = line(sketch("burst(base=1,peak=1000,every=1000s,for=1s)", 4000).svg)
    base, inner = corners[0][1], corners[1:-1]
    assert sum(y < base - 1 for _, y in inner) == 4


def test_a_pause_is_drawn() -> None:
    assert sketch("0").requests == "0"
    assert len({y for _, y in line(sketch("0").svg)}) == 1


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "a rate is missing"),
        ("100..", "the ramp needs an end"),
        ("sin(mean=3,amp=1,period=2s)", "did you mean sine?"),
        ("1" * (MAX_LETTERS + 1), "letters is not drawn"),
    ],
)
def test_what_cannot_be_drawn_says_why(expression: str, reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        sketch(expression)


@pytest.mark.parametrize("call", ["trace({})", " TRACE ({},scale=2)", "100@5s,trace({})"])
def test_no_file_is_read_to_draw_what_is_only_typed(call: str, tmp_path: Path) -> None:
    rates = tmp_path / "rates.csv"
    rates.write_text("t_s,rate\n0,10\n60,20\n")
    with pytest.raises(UsageError, match="only when it is used"):
        sketch(call.format(rates))
