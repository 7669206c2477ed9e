"""Our verdict against LoadGen's, on the very latencies that LoadGen measured.

LoadGen takes no latencies from outside, so it is given a system that lets a random few of its
queries wait for longer than the bound; what it measured then is in its trace.
"""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import mlperf_loadgen as lg
import numpy as np
import pytest

from tailrace.load.judge.confidence import estimate_rank
from tailrace.load.judge.slo import Slo
from tailrace.load.judge.verdict import MIN_DURATION_S, judge, judge_mlperf
from tests.kit.samples import measured

SETS = 500
STREAM_SETS = 100
BOUND_NS = 3_000_000
ROUNDING_NS = 2_000
"""Of our histogram, at the bound."""


class Measured:
    """One test of LoadGen: what it measured, and what it says of it."""

    def __init__(
        self, folder: Path, scenario: str, queries: int, slow: set[int], percent: float
    ) -> None:
        settings = lg.TestSettings()
        settings.scenario = getattr(lg.TestScenario, scenario)
        settings.mode = lg.TestMode.PerformanceOnly
        settings.min_duration_ms = 0
        settings.min_query_count = settings.max_query_count = queries
        settings.server_target_qps = 3e5
        settings.server_target_latency_ns = BOUND_NS
        settings.server_target_latency_percentile = percent / 100
        settings.single_stream_target_latency_percentile = percent / 100
        output = lg.LogOutputSettings()
        output.outdir = str(folder)
        logs = lg.LogSettings()
        logs.log_output = output
        self._slow = slow
        self._issued = 0
        self._waiting: list[int] = []
        sut = lg.ConstructQDL(self._issue, self._flush, lambda: "test")
        qsl = lg.ConstructQSL(16, 16, lambda _: None, lambda _: None)
        lg.StartTestWithLogSettings(sut, qsl, settings, logs, "")
        lg.DestroyQSL(qsl)
        lg.DestroyQDL(sut)
        trace = (folder / "mlperf_log_trace.json").read_text()
        self.latencies_ns = np.array(
            [int(value) for value in re.findall(r'"complete_ns":(-?\d+)', trace)], np.int64
        )
        self.summary = (folder / "mlperf_log_summary.txt").read_text()
        self.valid = "Result is : VALID" in self.summary

    def _issue(self, queries: list[lg.QuerySample]) -> None:
        for query in queries:
            if self._issued in self._slow:
                self._waiting.append(query.id)
            else:
                _answer(query.id)
            self._issued += 1

    def _flush(self) -> None:
        if self._waiting:
            time.sleep(1.05 * BOUND_NS / 1e9)
        for query_id in self._waiting:
            _answer(query_id)


def _answer(query_id: int) -> None:
    lg.QuerySamplesComplete([lg.QuerySampleResponse(query_id, 0, 0)])


def _ours(latencies_ns: np.ndarray, percent: float) -> bool:
    total = measured(latencies_ns / 1e6)
    slo = Slo(f"p{percent:g}<=3ms", f"p{percent:g}", percent, BOUND_NS / 1e9, inclusive=True)
    verdict = judge(total, duration_s=MIN_DURATION_S)
    return judge_mlperf(total, verdict, duration_s=MIN_DURATION_S, slos=[slo]).official


@pytest.mark.alone("500 runs of LoadGen, of 1 ms and more a query")
def test_server(tmp_path: Path) -> None:
    """Half of the sets are near where the verdict turns: h_min(t) + t queries with t over."""
    draw = random.Random(6)
    said = {True: 0, False: 0}
    on_the_edge = 0
    for _ in range(SETS):
        percent = draw.choice([90.0, 95.0, 97.0, 99.0])
        queries = draw.randint(20, 900)
        share = (1 - percent / 100) * draw.uniform(0.0, 1.2)
        slow = set(draw.sample(range(queries), min(queries, round(share * queries))))
        measured = Measured(tmp_path, "Server", queries, slow, percent)
        latencies_ns = measured.latencies_ns
        assert len(latencies_ns) == queries
        if (np.abs(latencies_ns - BOUND_NS) <= ROUNDING_NS).any():
            on_the_edge += 1
            continue
        ours = _ours(latencies_ns, percent)
        assert ours == measured.valid, (
            f"p{percent:g} of {queries}: {np.sum(latencies_ns > BOUND_NS)} over\n{measured.summary}"
        )
        said[ours] += 1
    assert on_the_edge < SETS / 50
    assert min(said.values()) > SETS / 5, said


def test_estimates_of_a_stream(tmp_path: Path) -> None:
    draw = random.Random(7)
    estimated = 0
    for _ in range(STREAM_SETS):
        queries = draw.randint(30, 300)
        measured = Measured(tmp_path, "SingleStream", queries, set(), 90.0)
        rank = estimate_rank(90.0, queries)
        found = re.search(r"Early stopping 90.0th percentile estimate: (\d+)", measured.summary)
        if rank is None:
            assert found is None
            assert "Early stopping satisfied: NO" in measured.summary
        else:
            estimated += 1
            assert found is not None
            assert int(found[1]) == np.sort(measured.latencies_ns)[rank]
    assert STREAM_SETS / 3 < estimated < STREAM_SETS
