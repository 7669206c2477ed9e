"""Comparing runs on the command line, and the files for pipelines, as their user meets them."""

import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.kit import cli
from tests.kit.server import OK, Server, answer_after, answer_by, http
from tests.kit.waiting import TIMEOUT_S

SHORT = ("--rate", "200", "--for", "2s", "--interval", "100ms")


def outcomes(path: Path) -> dict[str, str]:
    """Of each test case in a JUnit file: passed, or the tag that says otherwise."""
    found = {}
    for case in ET.parse(path).iter("testcase"):
        tags = {child.tag for child in case} & {"failure", "error", "skipped"}
        found[case.attrib["name"]] = tags.pop() if tags else "passed"
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with runs/: `base`, and `slow`, the same latencies and 100 ms."""
    place = tmp_path_factory.mktemp("runs")
    for name, server in (("base", Server().start()), ("slow", Server(answer_after(0.1)).start())):
        made = cli.run("load", server.url, *SHORT, "--out", f"runs/{name}", cwd=place)
        server.close()
        assert made.returncode == 0, made.stderr
    return place


def test_compare_says_what_is_more_than_noise(runs: Path) -> None:
    finished = cli.run("compare", "base", "runs/slow", cwd=runs)
    assert finished.returncode == 0, finished.stderr
    assert "more than noise" in finished.stdout
    assert "the target differs" in finished.stdout
    (p50,) = [line for line in finished.stdout.splitlines() if line.startswith("p50")]
    assert p50.split()[-1] == "yes"


def test_a_proven_regression_exits_1_in_every_format(runs: Path, tmp_path: Path) -> None:
    finished = cli.run(
        *("compare", "base", "slow", "--json", "--regression", "p50+10%"),
        *("--regression", "completed/s-50%", "--junit", str(tmp_path / "j.xml")),
        *("--markdown", str(tmp_path / "s.md")),
        cwd=runs,
    )
    assert finished.returncode == 1, finished.stderr
    document = json.loads(finished.stdout)
    assert [found["outcome"] for found in document["regressions"]] == ["broken", "kept"]
    found = {one["name"]: one for one in document["comparison"]["differences"]}
    assert found["p50"]["more_than_noise"] is True
    assert outcomes(tmp_path / "j.xml") == {
        "regression p50+10%": "failure",
        "regression completed/s-50%": "passed",
    }
    text = (tmp_path / "s.md").read_text()
    assert "❌ failed" in text
    # A hundred times as slow is an outage, should a busy machine leave its interval untold.
    assert "proven worse than it allows" in text or "an outage" in text


def test_several_runs_a_side_are_compared_as_the_unit_that_varies(runs: Path) -> None:
    many = runs / "many"
    for side, name in (("first", "base"), ("second", "slow")):
        for copy in ("1", "2", "3"):
            shutil.copytree(runs / "runs" / name, many / side / copy, dirs_exist_ok=True)
    by_directory = cli.run("compare", "many/first", "many/second", "--json", cwd=runs)
    named = [[f"many/{side}/{copy}" for copy in "123"] for side in ("first", "second")]
    by_name = cli.run("compare", *named[0], "--", *named[1], "--json", cwd=runs)
    assert by_name.returncode == 0, by_name.stderr
    comparison = json.loads(by_name.stdout)["comparison"]
    assert json.loads(by_directory.stdout)["comparison"] == comparison
    assert comparison["runs"] == [3, 3]
    # All began at one instant: they did not take turns.
    assert comparison["paired"] is False
    assert (comparison["base"], comparison["other"]) == ("first (3 runs)", "second (3 runs)")
    found = {one["name"]: one for one in comparison["differences"]}
    assert found["p50"]["more_than_noise"] is True
    assert not any(note.startswith("one run a side") for note in comparison["notes"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("compare", "base"), "give two runs, or several a side"),
        (("compare", "base", "--"), "give two runs, or several a side"),
        (("compare", "base", "slow", "base"), "give two runs, or several a side"),
        (("compare", "base", "--", "slow", "--", "base"), "give two runs, or several a side"),
        (("compare", "base", "absent"), "there is no run absent"),
        (("compare", "absent", "base"), "there is no run absent"),
        (("compare", "base", "slow", "--regression", "p99"), "is no bound on a regression"),
        (("compare", "base", "slow", "--junit", "absent/j.xml"), "cannot write absent/j.xml"),
        (("load", "http://127.0.0.1:9/", "--baseline", "absent"), "there is no run absent"),
        (("load", "http://127.0.0.1:9/", "--regression", "p99+1%"), "needs a --baseline"),
        (
            ("load", "http://127.0.0.1:9/", "--baseline", "base", "--regression", "p98+1%"),
            "'p98' is none of",
        ),
        (("load", "http://127.0.0.1:9/", "--junit", "runs"), "cannot write runs: Is a directory"),
        (("load", "http://127.0.0.1:9/", "--markdown", "no/s.md"), "cannot write no/s.md"),
        (("find", "http://127.0.0.1:9/", "--junit", "no/j.xml"), "cannot write no/j.xml"),
    ],
)
def test_what_cannot_work_is_said_before_any_load(
    runs: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    finished = cli.run_here(*arguments, cwd=runs)
    assert finished.returncode == 2
    assert finished.stdout == ""
    (line,) = finished.stderr.splitlines()
    assert complaint in line
    assert {path.name for path in (runs / "runs").iterdir()} == {"base", "slow"}


@pytest.mark.slow("starts a run each time")
def test_load_is_held_against_a_baseline(serve: Any, runs: Path, tmp_path: Path) -> None:
    finished = cli.run(
        *("load", serve().url, *SHORT, "--out", str(tmp_path / "new"), "--json"),
        *("--baseline", str(runs / "runs" / "slow"), "--junit", "j.xml"),
        cwd=tmp_path,
    )
    assert finished.returncode == 0, finished.stderr
    document = json.loads(finished.stdout)
    assert document["baseline"]["comparison"]["base"] == "slow"
    (found,) = document["baseline"]["regressions"]
    assert found["bound"] == "p99+10%"
    assert "baseline" not in json.loads((tmp_path / "new" / "result.json").read_text())
    # 100 ms faster; but a stall of a busy machine may be all that its p99 rests on.
    case = {"kept": "passed", "undecided": "skipped"}[found["outcome"]]
    assert outcomes(tmp_path / "j.xml")["regression p99+10%"] == case


def test_a_regression_of_load_exits_1_and_says_so(serve: Any, runs: Path, tmp_path: Path) -> None:

    finished = cli.run(
        *("load", serve(answer_after(0.15)).url, *SHORT, "--baseline", str(runs / "runs" / "base")),
        *("--regression", "p50+10%"),
        cwd=tmp_path,
    )
    assert finished.returncode == 1
    assert "regression p50+10%: broken: " in finished.stdout


@pytest.mark.slow("starts a run each time")
def test_slos_and_a_strict_verdict_are_test_cases(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "s.md").write_text("before\n\n")
    # 50 requests decide a p50, and no p99.
    finished = cli.run(
        *("load", serve().url, "--rate", "50", "--for", "1s", "--slo", "p50<1us", "--slo"),
        *("p99<60s", "--strict", "--mlperf", "--junit", "j.xml", "--markdown", "s.md"),
        cwd=tmp_path,
    )
    assert finished.returncode == 1
    assert outcomes(tmp_path / "j.xml") == {
        "SLO p50<1us": "failure",
        "SLO p99<60s": "failure",
        "verdict": "failure",
        "MLPerf": "failure",
    }
    assert (tmp_path / "s.md").read_text().startswith("before\n\n### tailrace load: ")


@pytest.mark.slow("starts a run each time")
def test_a_service_that_dies_half_way_passes_no_gate(serve: Any, tmp_path: Path) -> None:
    dying = answer_by(lambda number: OK if number < 200 else http(b"", 500))
    load = ("load", "--rate", "100", "--for", "4s", "--interval", "200ms")
    assert cli.run(*load, serve().url, "--out", "good", cwd=tmp_path).returncode == 0
    # With the bound that there is without --regression.
    gated = cli.run(*load, serve(dying).url, "--out", "bad", "--baseline", "good", cwd=tmp_path)
    assert gated.returncode == 1
    assert "regression p99+10%: broken" in gated.stdout
    assert "an outage" in gated.stdout
    compared = cli.run("compare", "good", "bad", "--regression", "failed+0.5%", cwd=tmp_path)
    assert compared.returncode == 1
    assert "cannot be told" not in next(
        line for line in compared.stdout.splitlines() if line.startswith("failed")
    )


def test_a_search_that_finds_nothing_is_a_failed_test(tmp_path: Path) -> None:
    finished = cli.run("find", "http://127.0.0.1:9/", "--junit", "j.xml", cwd=tmp_path)
    assert finished.returncode == 1
    assert outcomes(tmp_path / "j.xml") == {"result": "error"}
    assert "nothing answers" in (tmp_path / "j.xml").read_text()


def test_a_run_that_cannot_start_is_an_error_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    finished = cli.run(
        "load", "http://127.0.0.1:9/", "--out", "full", "--junit", "j.xml", cwd=tmp_path
    )
    assert finished.returncode == 1
    assert outcomes(tmp_path / "j.xml") == {"result": "error"}


@pytest.mark.slow("starts a run each time")
@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, "ran to its end"), (signal.SIGKILL, "result")]
)
def test_a_run_that_is_cut_short_leaves_its_file(
    serve: Any, tmp_path: Path, number: signal.Signals, expected: str
) -> None:
    process = cli.start(
        *("load", serve().url, "--slo", "p99<60s"),
        *("--rate", "200", "--for", "60s", "--interval", "200ms", "--junit", "j.xml"),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    assert process.stderr is not None
    assert "RPS" in process.stderr.readline()
    process.send_signal(number)
    process.communicate(timeout=TIMEOUT_S)
    found = outcomes(tmp_path / "j.xml")
    assert found[expected] == "error"
