"""Rates of completion count up to the last answer, wherever they are shown."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tailrace.control.window import summarize
from tailrace.load.measure.measurement import Measurement
from tailrace.load.session.result import answering_s
from tailrace.load.session.workers import Nodes
from tailrace.runs.compare.compare import read_comparable
from tailrace.runs.compare.series import NAMES, figures
from tests.kit.plans import leave_run
from tests.kit.server import answer_in_turn, answer_never


@pytest.mark.parametrize(
    ("answered_s", "answering"), [(None, 4.0), (0.0, 4.0), (2.0, 4.0), (8.5, 8.5)]
)
def test_silence_is_slow_too(answered_s: float | None, answering: float) -> None:
    assert answering_s(4.0, answered_s) == answering


async def test_a_saturated_service_has_the_rate_at_which_it_answered(
    serve: Any, tmp_path: Path
) -> None:
    """100/s are offered for 1 s, answers come every 20 ms: for 2 s. One request is never answered,
    and its timeout, at 4 s, is no time in which answers came.
    """
    in_turn = answer_in_turn(0.02)

    async def queue(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        await (answer_never if number == 20 else in_turn)(number, body, writer)

    result, intervals = await leave_run(
        *(tmp_path / "run", serve(queue).url, "100"),
        arrivals="constant",
        duration_s=1.0,
        interval_s=0.2,
        timeout_s=4.0,
    )
    assert (result.completed, result.reasons) == (99, {"timeout: no answer": 1})
    assert result.answered_s is not None
    assert 1.9 < result.answered_s < 3.5
    assert result.rate.completed == pytest.approx(99 / result.answered_s, rel=1e-3)
    assert result.rate.offered == result.rate.sent == pytest.approx(100)
    # The control room's window, after the end.
    window = summarize(intervals)
    assert window.avg_qps == pytest.approx(result.rate.completed, rel=0.01)
    assert window.avg_rps == pytest.approx(100, rel=0.01)
    assert window.sr_percent == pytest.approx(result.rate.completed, rel=0.01)
    # What runs are compared by, with the document's word and without.
    (tmp_path / "killed").mkdir()
    for name in ("run.json", "timeline.jsonl", "latency.hlog"):
        (tmp_path / "killed" / name).write_bytes((tmp_path / "run" / name).read_bytes())
    rates = [
        figures(read_comparable(tmp_path / name).series)[NAMES.index("completed/s")]
        for name in ("run", "killed")
    ]
    assert rates[0] == pytest.approx(result.rate.completed, rel=0.01)
    # Without a result the end of the last interval is all that is known.
    assert rates[1] == pytest.approx(99 / intervals[-1].point.t_s, rel=0.01)


async def test_before_the_end_all_of_a_window_counts(serve: Any, tmp_path: Path) -> None:
    _, intervals = await leave_run(tmp_path / "run", serve().url, interval_s=0.2)
    window = summarize(intervals[1:3])
    seconds = sum(interval.point.interval_s for interval in intervals[1:3])
    assert [interval.offering_s for interval in intervals[1:3]] == pytest.approx(
        [interval.point.interval_s for interval in intervals[1:3]], abs=1e-5
    )
    assert window.avg_qps == pytest.approx(window.completed / seconds, rel=1e-3)


def report(begin_s: float, end_s: float, sent: int, cpu_s: float) -> Measurement:
    return Measurement(
        sent=sent,
        cpu_ns=round(cpu_s * 1e9),
        begun_ns=round(begin_s * 1e9),
        end_ns=round(end_s * 1e9),
    )


def test_a_node_is_measured_by_the_time_that_it_was_there() -> None:
    whole, lost, later = workers = [
        SimpleNamespace(node=name, begun_s=0.0, lost=False) for name in ("whole", "lost", "later")
    ]
    launcher = SimpleNamespace(clock_errors_s={})
    nodes = Nodes(SimpleNamespace(all=workers), launcher)  # type: ignore[arg-type]
    reports: list[tuple[Any, Measurement]] = [
        # 10 s of offering, and 10 s more until all was answered.
        *((whole, report(0, 10, 1000, 5.0)), (whole, report(10, 20, 0, 5.0))),
        (lost, report(0, 2, 200, 1.0)),
        (later, report(8, 10, 200, 1.0)),
    ]
    nodes.add(reports, 10.0)  # type: ignore[arg-type]
    figures = nodes.total(10.0)
    assert figures.keys() == {"whole", "lost", "later"}
    assert {name: node.rps for name, node in figures.items()} == dict.fromkeys(figures, 100)
    assert {name: node.cpu_percent for name, node in figures.items()} == dict.fromkeys(figures, 50)
