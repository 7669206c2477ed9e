"""The figures' text, and the steps of the slider."""

from typing import Any

import pytest

from tailrace.control.interface import Window
from tailrace.dashboard.controls import RATES, slider_position
from tailrace.dashboard.figures import FIGURES, broken, spans
from tailrace.load.measure.point import Percentiles
from tests.kit.samples import POINT


def window(**values: Any) -> Window:
    """A window with `values`, and nothing else in it."""
    empty: dict[str, Any] = {
        "intervals": 0,
        "seconds": 0.0,
        "latency_ms": Percentiles(),
        "service_ms": Percentiles(),
        "send_lag_us": Percentiles(),
        "stages_ms": {},
        "avg_rps": 0.0,
        "avg_qps": 0.0,
        "sr_percent": None,
        "completed": 0,
        "failed": {},
        "points": (),
    }
    return Window(**{**empty, **values})


def test_an_empty_window_shows_dashes() -> None:
    assert {figure.of(window()).value for figure in FIGURES} == {"–"}


@pytest.mark.parametrize(
    ("completed", "value", "note"),
    [(0, "–", ""), (999, "–", "999 of 1,000"), (1000, "42.0", "of 1,000")],
)
def test_p99_9_needs_a_thousand_responses(completed: int, value: str, note: str) -> None:
    figure = next(figure for figure in FIGURES if figure.name == "p99.9")
    measured = {"completed": completed, "latency_ms": Percentiles(p99_9=42)}
    shown = figure.of(window(**measured, points=(POINT,)))
    assert (shown.value, shown.note) == (value, note)


def test_a_broken_bound_is_told_at_its_figure() -> None:
    """As the window was judged, whatever its percentiles are."""
    judged = {"p99<100ms": False, "p50<10ms": True, "p97<1s": False}
    shown = window(intervals=1, seconds=1.0, latency_ms=Percentiles(p50=50, p99=5), slo=judged)
    assert broken(shown) == {"p99": "over 100 ms SLO", "p97": "over 1 s SLO"}
    assert spans(shown).endswith("Over the SLO p99<100ms. Over the SLO p97<1s.")


def test_a_lateness_is_worded_with_the_unit_that_suits_it() -> None:
    figure = next(figure for figure in FIGURES if figure.name == "send-lag")
    shown = figure.of(window(send_lag_us=Percentiles(p50=85.24, p99=1234), points=(POINT,)))
    assert (shown.value, shown.unit, shown.note) == ("1.23", "ms", "p50 85.2 µs")


def test_what_the_figures_are_of_is_told() -> None:
    assert spans(window(intervals=60, seconds=60.0)).startswith(
        "Percentiles, SR and failures: the last 60 s."
    )
    assert spans(window()) == ""


def test_slider_steps_rise_and_find_themselves() -> None:
    assert sorted(set(RATES)) == list(RATES)
    assert [slider_position(rate) for rate in RATES] == list(range(len(RATES)))


@pytest.mark.parametrize(("rate", "step"), [(0.2, 0), (137, 150), (333, 300), (1e9, 100_000)])
def test_any_rate_has_a_nearest_step(rate: float, step: float) -> None:
    assert RATES[slider_position(rate)] == step
