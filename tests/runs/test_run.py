"""A run's directory: complete at the end, and useful whenever a run is cut short."""

import json
import math
import os
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from tailrace.load.client.target import Tls
from tailrace.load.client.traffic import plan_traffic
from tailrace.load.measure.histogram import HIGHEST_US
from tailrace.load.measure.point import Point
from tailrace.load.session.plan import Plan
from tailrace.load.worker.launcher import GeneratorError
from tailrace.runs.directory import RunDirectory, RunDirectoryError, new_directory
from tailrace.runs.run import Run
from tests.kit import cli
from tests.kit.plans import await_intervals, make_plan
from tests.kit.waiting import TIMEOUT_S


def plan_of(url: str, rate: str = "300", duration_s: float = 1.5) -> Plan:
    return make_plan(url, rate, duration_s=duration_s, slo="p99<5s")


async def test_a_run_leaves_result_timeline_and_histogram_log(serve: Any, tmp_path: Path) -> None:
    plan = plan_of(serve().url)
    run = Run(plan, tmp_path / "run")
    await run.start()
    points = [interval.point async for interval in run.intervals()]
    files = {file.name for file in (tmp_path / "run").iterdir()}
    assert files == {"run.json", "timeline.jsonl", "latency.hlog", "result.json"}

    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result == json.loads(msgspec.json.encode(run.result))
    assert result["offered"] == result["completed"] > 300
    assert result["slo"] == {"p99<5s": True}

    lines = (tmp_path / "run" / "timeline.jsonl").read_text().splitlines()
    assert [msgspec.json.decode(line, type=Point) for line in lines] == points
    assert sum(point.completed for point in points) == result["completed"]

    reader = HistogramLogReader(
        str(tmp_path / "run" / "latency.hlog"), HdrHistogram(1, HIGHEST_US, 3)
    )
    merged = HdrHistogram(1, HIGHEST_US, 3)
    while (logged := reader.get_next_interval_histogram()) is not None:
        merged.add(logged)
    assert merged.get_total_count() == result["completed"]
    # hdrh rounds to the nearest rank, Tailrace takes the ⌈p·n⌉-th: ask for the very rank.
    count = merged.get_total_count()
    p99_us = merged.get_value_at_percentile(100 * math.ceil(0.99 * count) / count)
    assert p99_us / 1000 == pytest.approx(result["latency_ms"]["p99"], rel=0.002, abs=0.002)


CONTRACT = {
    "target": str,
    "arrivals": str,
    "seed": int,
    "duration_s": float,
    "offered": int,
    "sent": int,
    "completed": int,
    "ended_by": str,
    "answered_s": float,
    "failed": dict,
    "reasons": dict,
    "examples": dict,
    "addresses": dict,
    "rate": {"offered", "sent", "completed"},
    "latency_ms": {"mean", "p50", "p90", "p95", "p99", "p99.9", "max"},
    "confidence_ms": {"p50", "p90", "p95", "p99", "p99.9"},
    "service_ms": {"mean", "p50", "p90", "p95", "p99", "p99.9", "max"},
    "send_lag_us": {"p50", "p99", "p99.9", "max"},
    "stages_ms": dict,
    "xray": dict | None,
    "verdict": {"valid", "reasons"},
    "slo": dict,
    "decisions": dict,
    "mlperf": dict | None,
    "run": str,
    "nodes": dict,
}


def test_the_result_document_has_the_keys_of_the_contract(serve: Any, tmp_path: Path) -> None:
    finished = cli.run(
        *("load", serve().url),
        *("--rate", "400", "--for", "2s", "--json", "--slo", "p99<10s", "--out", "r"),
        cwd=tmp_path,
        check=True,
    )
    document = json.loads(finished.stdout)
    assert set(document) >= set(CONTRACT)
    for key, expected in CONTRACT.items():
        if isinstance(expected, set):
            assert set(document[key]) >= expected
        else:
            assert isinstance(document[key], expected)
    assert document["rate"]["offered"] == pytest.approx(document["offered"] / 2, rel=1e-3)
    assert "RPS" in finished.stderr


def test_a_run_killed_outright_keeps_the_intervals_it_had(serve: Any, tmp_path: Path) -> None:
    process = cli.start(
        *("load", serve().url),
        *("--rate", "200", "--for", "60s", "--interval", "200ms", "--out", "r"),
        cwd=tmp_path,
        stdout=None,
    )
    await_intervals(tmp_path / "r", 3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(TIMEOUT_S)
    process.stderr.close()
    lines = (tmp_path / "r" / "timeline.jsonl").read_text().splitlines()
    assert len(lines) >= 3
    assert sum(msgspec.json.decode(line, type=Point).completed for line in lines) > 0
    log = (tmp_path / "r" / "latency.hlog").read_text().splitlines()
    # Its line of an interval comes after that of the time line.
    assert len([line for line in log if line[0].isdigit()]) >= len(lines) - 1
    assert not (tmp_path / "r" / "result.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_its_results(serve: Any, tmp_path: Path, number: int) -> None:
    server = serve()
    process = cli.start(
        *("load", server.url),
        *("--rate", "200", "--for", "60s", "--interval", "200ms", "--json", "--out", "r"),
        cwd=tmp_path,
    )
    await_intervals(tmp_path / "r", 3)
    process.send_signal(number)
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    document = json.loads(out)
    assert document["completed"] == document["offered"] == len(server.arrived_ns)
    assert json.loads((tmp_path / "r" / "result.json").read_text()) == document


def test_a_directory_that_holds_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("precious")
    with pytest.raises(RunDirectoryError, match="not empty"):
        RunDirectory(tmp_path, plan_of("http://h/"))
    assert (tmp_path / "kept").read_text() == "precious"


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="cannot write"):
        RunDirectory(tmp_path / "file" / "run", plan_of("http://h/"))


def test_runs_of_the_same_second_have_directories_of_their_own(tmp_path: Path) -> None:
    plan = plan_of("http://h/")
    made = {RunDirectory(new_directory(tmp_path, "x"), plan).path for _ in range(3)}
    assert len(made) == 3


def test_runs_begun_at_one_instant_have_directories_of_their_own(tmp_path: Path) -> None:
    plan = plan_of("http://h/")
    together = Barrier(8)

    def begin(_: int) -> Path:
        together.wait(TIMEOUT_S)
        directory = RunDirectory(new_directory(tmp_path, "x"), plan)
        directory.close()
        return directory.path

    with ThreadPoolExecutor(8) as pool:
        made = [path for _ in range(15) for path in pool.map(begin, range(8))]
    assert len(set(made)) == len(made) == 120
    assert all((path / "run.json").exists() for path in made)


def test_of_two_runs_in_one_directory_one_is_refused(tmp_path: Path) -> None:
    """Whichever comes second, though both found it empty."""
    plan = plan_of("http://h/")
    together = Barrier(4)

    def begin(path: Path) -> str | None:
        together.wait(TIMEOUT_S)
        try:
            RunDirectory(path, plan).close()
        except RunDirectoryError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(4) as pool:
        for number in range(30):
            complaints = list(pool.map(begin, [tmp_path / str(number)] * 4))
            assert complaints.count(None) == 1
            assert sum("is not empty" in each for each in complaints if each) == 3


async def test_a_run_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    url = "https://127.0.0.1:1/"
    traffic = plan_traffic([url], tls=Tls(ca_file=tmp_path / "absent.pem"))
    plan = replace(plan_of(url), traffic=traffic)
    with pytest.raises(GeneratorError, match="cannot start"):
        await Run(plan, tmp_path / "run").start()
    assert not (tmp_path / "run").exists()


async def test_a_full_disk_ends_the_writing_not_the_run(serve: Any, tmp_path: Path) -> None:
    """A limit on the size of files refuses writes as a full disk does."""
    plan = plan_of(serve().url, duration_s=1.0)
    run = Run(plan, tmp_path / "run")
    await run.start()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        intervals = [interval async for interval in run.intervals()]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(intervals) == 2
    assert run.result.completed == run.result.offered > 0
    assert not run.is_kept
    assert "File too large" in run.problems[0]


def test_a_killed_worker_is_told_at_once_and_makes_the_run_invalid(
    serve: Any, tmp_path: Path
) -> None:
    process = cli.start(
        *("load", serve().url, "--rate", "200", "--json"),
        *("--for", "60s", "--interval", "200ms", "--workers", "2", "--out", "r"),
        cwd=tmp_path,
    )
    assert process.stderr is not None
    while "RPS" not in process.stderr.readline():
        assert process.poll() is None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    while "died" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=TIMEOUT_S)
    result = json.loads(out)
    assert 0 < result["completed"] < 6000
    assert not result["verdict"]["valid"]
    assert "died" in result["verdict"]["reasons"][0]
