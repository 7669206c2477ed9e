"""A disk that fills while something is measured: said once, no success, and what fits is kept."""

import json
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tailrace.runs.samples import read_raw_samples
from tests.kit import cli
from tests.kit.waiting import TIMEOUT_S, wait_until

pytestmark = pytest.mark.slow("a file system of its own")


def cramped(
    limit: int, *arguments: str, cwd: Path, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command that can write so many bytes to a file, and no more."""

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return cli.run(*arguments, cwd=cwd, preexec_fn=limit_files, **settings)


def complaints_of(finished: subprocess.CompletedProcess[str]) -> list[str]:
    """The errors that it printed."""
    assert "Traceback" not in finished.stderr
    return [line for line in finished.stderr.splitlines() if line.startswith("tailrace: error: ")]


@pytest.mark.smoke
def test_a_run_that_finds_no_room_is_no_success(serve: Any, tmp_path: Path) -> None:
    finished = cramped(
        6000,
        *("load", serve().url, "--rate", "100", "--for", "2s", "--interval", "100ms"),
        *("--out", "r", "--json"),
        cwd=tmp_path,
    )
    assert finished.returncode == 1
    (line,) = complaints_of(finished)
    assert line == "tailrace: error: cannot write the run directory r: File too large"
    # Measured it was, all of it.
    assert json.loads(finished.stdout)["duration_s"] == 2.0
    assert not list(tmp_path.glob("r/*.tmp"))
    *whole, _ = (tmp_path / "r" / "timeline.jsonl").read_text().split("\n")
    assert whole
    assert sum(json.loads(line)["completed"] for line in whole) > 0
    report = cramped(6000, "report", "r", cwd=tmp_path)
    assert report.returncode == 1
    assert complaints_of(report) == ["tailrace: error: cannot write r/report.html: File too large"]
    assert not (tmp_path / "r" / "report.html").exists()
    cli.run("report", "r", cwd=tmp_path, check=True)


@pytest.mark.parametrize(("kind", "rate"), [("csv", "300"), ("parquet", "1000")])
def test_raw_samples_that_find_no_room(serve: Any, tmp_path: Path, kind: str, rate: str) -> None:
    """The run goes on to its end; of the samples there is as much as could be written."""
    finished = cramped(
        20_000,
        *("load", serve().url, "--rate", rate, "--for", "2s", "--interval", "500ms"),
        *("--out", "r", "--samples", f"s.{kind}", "--json"),
        cwd=tmp_path,
    )
    assert finished.returncode == 1
    (line,) = complaints_of(finished)
    assert line == f"tailrace: error: cannot write raw samples to s.{kind}: File too large"
    result = json.loads(finished.stdout)
    assert result["duration_s"] == 2.0
    assert 0 < len(read_raw_samples(tmp_path / f"s.{kind}")) <= result["offered"]


def test_a_run_that_finds_no_room_passes_no_gate(serve: Any, tmp_path: Path) -> None:
    load = ("load", serve().url, "--rate", "100", "--for", "1s", "--interval", "100ms")
    cli.run(*load, "--out", "good", cwd=tmp_path, check=True)
    gate = ("--baseline", "good", "--out", "r", "--json")
    finished = cramped(6000, *load, *gate, cwd=tmp_path)
    assert finished.returncode == 1
    assert len(complaints_of(finished)) == 1
    assert json.loads(finished.stdout)["completed"] > 0


SEARCH = ("--start", "50", "--max", "200", "--slo", "p50<1s", "--out", "f", "--for", "10s")


def test_a_search_that_finds_no_room_keeps_what_fits(serve: Any, tmp_path: Path) -> None:
    finished = cramped(2500, "find", serve().url, *SEARCH, "--json", cwd=tmp_path)
    assert finished.returncode == 1
    (line,) = complaints_of(finished)
    assert line == "tailrace: error: cannot write f: File too large"
    found = json.loads(finished.stdout)
    assert found["rate_per_s"] > 100
    assert len(found["steps"]) >= 3
    assert not list(tmp_path.glob("f/*.tmp"))
    kept = json.loads((tmp_path / "f" / "find.json").read_text())
    assert kept["steps"] == found["steps"][: len(kept["steps"])] != []


def test_a_search_that_is_killed_keeps_the_steps_it_had(serve: Any, tmp_path: Path) -> None:
    process = cli.start("find", serve().url, *SEARCH, cwd=tmp_path, stdout=None, stderr=None)
    file = tmp_path / "f" / "find.json"
    wait_until(file.exists)
    process.send_signal(signal.SIGKILL)
    process.wait(TIMEOUT_S)
    kept = json.loads(file.read_text())
    assert kept["steps"]
    assert not kept["confirmed"]
    assert kept["ended_by"] == "unfinished"
