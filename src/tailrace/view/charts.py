"""What the charts in static/timeline/ are told before they are drawn, whoever draws them."""

from collections.abc import Sequence
from typing import Any, Literal

from tailrace.load.judge.slo import Slo
from tailrace.load.measure.point import BINS_PER_DECADE
from tailrace.service.stages import STAGES

FAILURES = (
    "connect",
    "timeout",
    "reset",
    "protocol",
    "http_3xx",
    "http_4xx",
    "http_5xx",
    "unexpected",
    "aborted",
)

SERVICE_CHARTS = (
    "latency",
    "heatmap",
    "rates",
    "failures",
    "in-flight",
    "send-lag",
    "stages",
    "server",
)
"""Names of the charts of one service, or of two laid over each other by their lines."""

Clock = Literal["wall", "elapsed"]


def configure(clock: Clock, charts: Sequence[str], **more: Any) -> dict[str, Any]:
    """The configuration of a Timeline in the browser: `charts` by name, in this order, and what a
    time is, that of the day or that since a run's start. `more` is as static/timeline/index.js
    says.
    """
    return {
        "clock": clock,
        "charts": charts,
        "stages": STAGES,
        "failures": FAILURES,
        "binsPerDecade": BINS_PER_DECADE,
        **more,
    }


def tell_slos(slos: Sequence[Slo]) -> list[dict[str, Any]]:
    """Bounds as the charts draw them."""
    return [
        {
            "expression": slo.expression,
            "statistic": slo.statistic,
            "percent": slo.percent,
            "bound_ms": slo.bound_s * 1e3,
        }
        for slo in slos
    ]
