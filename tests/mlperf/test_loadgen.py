"""The official LoadGen against systems that answer, fail, raise, or do not say their name."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlperf_loadgen as lg
import numpy as np
import pytest

from tailrace.errors import TailraceError
from tailrace.mlperf.ledger import Failures
from tailrace.mlperf.loadgen import LoadGen
from tailrace.mlperf.samples import SampleLibrary
from tailrace.mlperf.system import Query, Sink
from tailrace.models import zoo
from tests.kit.waiting import TIMEOUT_S

SAMPLES = 24
ROOT = str(Path(__file__).parents[2])
FORM = zoo.find("null").formats[0]


class Threaded:
    """A system that answers from a thread, with the sample's index; a few it fails or raises."""

    def __init__(self, failing: Sequence[int] = (), raising: Sequence[int] = ()) -> None:
        self.names = 0
        self.ended = threading.Event()
        self._failing = set(failing)
        self._raising = set(raising)

    def name(self) -> str:
        self.names += 1
        return f"a system, asked {self.names} times"

    def issue(self, queries: Sequence[Query], sink: Sink) -> None:
        if any(query.sample.index in self._raising for query in queries):
            raise ValueError("cannot be issued")
        threading.Thread(target=self._answer, args=(queries, sink), daemon=True).start()

    def close(self) -> None:
        self.ended.set()

    def _answer(self, queries: Sequence[Query], sink: Sink) -> None:
        for query in queries:
            if query.sample.index in self._failing:
                sink.fail(query.id, "boom")
            else:
                sink.complete(query.id, np.array([query.sample.index], np.float32))


class Nameless(Threaded):
    def name(self) -> str:
        raise TailraceError("nobody there")


def short_settings(scenario: str, mode: str = "PerformanceOnly") -> lg.TestSettings:
    settings = lg.TestSettings()
    settings.scenario = getattr(lg.TestScenario, scenario)
    settings.mode = getattr(lg.TestMode, mode)
    settings.min_duration_ms = 100
    settings.min_query_count = 50
    settings.server_target_qps = 1000
    settings.offline_expected_qps = 1000
    return settings


def _run_loadgen(
    folder: Path,
    scenario: str,
    system: Any,
    failures: Failures = Failures.LAST,
    mode: str = "PerformanceOnly",
) -> LoadGen:
    library = SampleLibrary(SAMPLES, lambda _: b"x", FORM, "tensor")
    loadgen = LoadGen(system, library, 16, failures)
    loadgen.start(short_settings(scenario, mode), folder)
    assert loadgen.finished.wait(TIMEOUT_S)
    return loadgen


def _detail(folder: Path) -> dict[str, Any]:
    lines = (folder / "mlperf_log_detail.txt").read_text().splitlines()
    entries = [json.loads(line.removeprefix(":::MLLOG ")) for line in lines]
    return {entry["key"]: entry["value"] for entry in entries}


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream", "Server", "Offline"])
def test_scenarios(tmp_path: Path, scenario: str) -> None:
    system = Threaded()
    loadgen = _run_loadgen(tmp_path, scenario, system)
    counts = loadgen.ledger.counts()
    detail = _detail(tmp_path)
    samples = detail["generated_samples_per_query"] * detail["result_query_count"]
    assert counts.issued == counts.completed == counts.latency.total == samples
    assert not counts.failed
    # Asked anew each time, as over a network.
    assert system.names >= 2
    summary = (tmp_path / "mlperf_log_summary.txt").read_text()
    assert f"SUT name : {loadgen.name}" in summary
    assert loadgen.name == f"a system, asked {system.names} times"


@pytest.mark.parametrize("scenario", ["SingleStream", "MultiStream", "Server", "Offline"])
def test_the_accuracy_log_has_each_answer_with_its_sample(tmp_path: Path, scenario: str) -> None:
    _run_loadgen(tmp_path, scenario, Threaded(), Failures.EMPTY, "AccuracyOnly")
    log = json.loads((tmp_path / "mlperf_log_accuracy.json").read_text())
    assert {entry["qsl_idx"] for entry in log} == set(range(SAMPLES))
    for entry in log:
        record = np.frombuffer(bytes.fromhex(entry["data"]), "<f4")
        assert record.tolist() == [entry["qsl_idx"]]


@pytest.mark.alone("LoadGen calls it late where others have the core")
@pytest.mark.parametrize("fault", ["failing", "raising"])
@pytest.mark.parametrize("scenario", ["Server", "Offline"])
def test_failures_are_not_fast_answers(tmp_path: Path, scenario: str, fault: str) -> None:
    """Whatever it does wrong, LoadGen comes to its end, and the failed were the slowest."""
    loadgen = _run_loadgen(tmp_path, scenario, Threaded(**{fault: (1, 2, 3, 4, 5)}))
    counts = loadgen.ledger.counts()
    detail = _detail(tmp_path)
    assert counts.outstanding == 0
    assert 0 < counts.failed <= counts.issued
    assert counts.completed == counts.latency.total == counts.issued - counts.failed
    reason = "boom" if fault == "failing" else "ValueError: cannot be issued"
    assert counts.failures == {reason: counts.failed}
    if scenario == "Server":
        # As long as from its turn to the end of the test.
        share = counts.failed / counts.issued
        assert detail["result_max_latency_ns"] > 10 * detail["result_50.00_percentile_latency_ns"]
        assert 0.02 < share < 0.6
        assert detail["result_90.00_percentile_latency_ns"] > 1e6


def test_in_a_stream_a_failure_ends_the_test(tmp_path: Path) -> None:
    """LoadGen waits for ever for what will not come; `broken` tells of it."""
    code = f"""
import os, sys
sys.path.insert(0, {ROOT!r})
from tests.mlperf.test_loadgen import *
library = SampleLibrary(SAMPLES, lambda _: b"x", FORM, "tensor")
loadgen = LoadGen(Threaded(failing=range(4, SAMPLES)), library, 16, Failures.NEVER)
loadgen.start(short_settings("SingleStream"), Path(sys.argv[1]))
assert loadgen.ledger.broken.wait(TIMEOUT_S)
assert not loadgen.finished.is_set()
counts = loadgen.ledger.counts()
assert counts.failures == {{"boom": 1}}, counts
print("as expected", flush=True)
os._exit(0)
"""
    assert _python(code, tmp_path) == "as expected\n"


def test_a_sample_that_cannot_be_loaded_ends_the_test(tmp_path: Path) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {ROOT!r})
from tests.mlperf.test_loadgen import *
def read(index):
    raise TailraceError(f"cannot read picture {{index}}")
loadgen = LoadGen(Threaded(), SampleLibrary(SAMPLES, read, FORM, "tensor"), 16, Failures.LAST)
loadgen.start(short_settings("Server"), Path(sys.argv[1]))
assert loadgen.ledger.broken.wait(TIMEOUT_S)
assert not loadgen.finished.is_set()
print(loadgen.problems[0][:20], flush=True)
os._exit(0)
"""
    assert _python(code, tmp_path) == "cannot read picture \n"


def test_a_system_without_a_name(tmp_path: Path) -> None:
    loadgen = _run_loadgen(tmp_path, "Server", Nameless())
    assert loadgen.problems
    assert set(loadgen.problems) == {"the system did not say its name: nobody there"}


def test_the_issuing_thread_does_not_wait(tmp_path: Path) -> None:
    """A system that takes 50 ms a query gets its queries on schedule all the same."""
    arrived_s: list[float] = []

    class Slow(Threaded):
        def issue(self, queries: Sequence[Query], sink: Sink) -> None:
            arrived_s.append(time.monotonic())
            super().issue(queries, sink)

        def _answer(self, queries: Sequence[Query], sink: Sink) -> None:
            self.ended.wait(0.05)
            super()._answer(queries, sink)

    loadgen = _run_loadgen(tmp_path, "Server", Slow())
    assert loadgen.ledger.counts().completed == len(arrived_s)
    # One after the other they would take 5 s.
    assert arrived_s[-1] - arrived_s[0] < 0.05 * len(arrived_s) / 4


def _python(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
