"""What the original system's page showed, by its own definitions, beside what it is here."""

from collections.abc import Callable
from dataclasses import dataclass

from tailrace.control.interface import Window
from tailrace.load.measure.point import Point
from tailrace.view.words import number


@dataclass(frozen=True, slots=True)
class Original:
    """One of its figures: its name, its definition, and how ours relates to it."""

    name: str
    definition: str
    unit: str
    value: Callable[[Window, Point | None], float | None]
    here: Callable[[Window, Point | None], str]
    """Where the same is found here, and what differs."""


ORIGINALS: tuple[Original, ...] = (
    Original(
        "realRPS",
        "requests sent in the last second",
        "req/s",
        lambda _, last: last.rps if last else None,
        lambda _w, _l: "RPS: the same, over the last interval",
    ),
    Original(
        "realQPS",
        "responses in the last second",
        "req/s",
        lambda _, last: last.qps if last else None,
        lambda _w, _l: "QPS: the same; failed requests are not counted as responses",
    ),
    Original(
        "AvgRPS",
        "average of realRPS over the window",
        "req/s",
        lambda window, last: window.avg_rps if last else None,
        lambda _w, _l: (
            "avg below RPS: all that was sent ÷ the time of it in which load was offered"
        ),
    ),
    Original(
        "AvgQPS",
        "average of realQPS over the window",
        "req/s",
        lambda window, last: window.avg_qps if last else None,
        lambda _w, _l: (
            "avg below QPS: all that was answered ÷ that time, or the time to the last answer"
        ),
    ),
    Original(
        "SR",
        "AvgQPS ÷ AvgRPS",
        "%",
        lambda window, _: window.sr_percent,
        lambda _w, _l: "SR: the same",
    ),
    Original(
        "queryTime",
        "p99 of the last second",
        "ms",
        lambda _, last: last.latency_ms.p99 if last else None,
        lambda _, last: (
            "p99 in the latency chart, counted from the intended time; the original counted from "
            f"the actual send, which gives {number(last.service_ms.p99 if last else None)} ms"
        ),
    ),
    Original(
        "Avg99th",
        "mean of the p99 of each second of the window",
        "ms",
        lambda window, _: window.avg_99th_ms,
        lambda window, _: (
            "a mean of percentiles is no percentile: p99 of the window, from merged histograms, is "
            f"{number(window.latency_ms.p99)} ms"
        ),
    ),
)
