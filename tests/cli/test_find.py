"""`tailrace find` as its user meets it."""

import json
import signal
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.kit import cli
from tests.kit.server import answer_by, http
from tests.kit.waiting import TIMEOUT_S

pytestmark = pytest.mark.slow("starts a search each time")


failing = answer_by(lambda number: http(b"", 500 if number % 20 == 0 else 200))
"""Five times as many failures as a p99 bears: 5 %."""


def test_a_search_up_to_its_limit(serve: Any, tmp_path: Path) -> None:
    """A server that holds everything: the highest rate allowed is found, confirmed and drawn."""
    finished = cli.run(
        "find",
        *(serve().url, "--slo", "p95<2s", "--slo", "mean<1s", "--start", "100", "--max", "200"),
        *("--for", "10s", "--json", "--out", "found"),
        cwd=tmp_path,
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    assert 150 < found["rate_per_s"] <= 200
    assert found["confirmed"]
    assert found["slos"] == ["p95<2s", "mean<1s"]
    assert 0.5 < found["confidence"] <= 1
    assert {step["decision"] for step in found["steps"]} <= {"holds", "late"}
    assert json.loads((tmp_path / "found" / "find.json").read_text()) == found
    drawn = ElementTree.parse(tmp_path / "found" / "find.svg").getroot()
    dots = drawn.findall("{http://www.w3.org/2000/svg}circle/{http://www.w3.org/2000/svg}title")
    assert len(dots) == 2 * len(found["curve"])
    holds = [step for step in found["steps"] if step["decision"] == "holds"]
    assert finished.stderr.count("  holds  ") == len(holds) > 1


def test_options_of_searches_of_separate_steps_are_taken_and_said_to_mean_nothing(
    serve: Any, tmp_path: Path
) -> None:
    finished = cli.run(
        "find",
        *(serve().url, "--slo", "p95<2s", "--start", "100", "--max", "100", "--for", "10s"),
        *("--step", "1s", "--longest", "2s", "--confirm", "1s", "--warmup", "1s"),
        *("--precision", "0.5", "--out", "found"),
        cwd=tmp_path,
    )
    assert finished.returncode == 0, finished.stderr
    note = "--precision, --step, --longest, --warmup, --confirm mean nothing any more: --for says"
    assert note in finished.stderr
    assert "with a probability of" in finished.stdout
    assert "report: tailrace report found" in finished.stdout


def test_failures_break_an_slo(serve: Any, tmp_path: Path) -> None:
    finished = cli.run(
        "find",
        *(serve(failing).url, "--slo", "p99<2s", "--start", "100", "--max", "100"),
        *("--for", "10s", "--out", "found"),
        cwd=tmp_path,
    )
    assert finished.returncode == 1
    assert "  breaks  " in finished.stderr
    found = json.loads((tmp_path / "found" / "find.json").read_text())
    assert found["rate_per_s"] is None
    assert "of requests fail, whatever the rate" in found["reason"]
    assert any("http: 500" in finding for finding in found["findings"])
    broken = [step for step in found["steps"] if step["decision"] == "breaks"]
    assert all(step["failed"] > 0 for step in broken), broken


def test_ctrl_c_keeps_what_was_found(serve: Any, tmp_path: Path) -> None:
    process = cli.start(
        *("find", serve().url, "--start", "100", "--slo", "p95<2s", "--out", "found"),
        cwd=tmp_path,
    )
    assert process.stderr is not None
    while "holds" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, err
    assert "cut short by SIGINT (not confirmed)" in out, err
    found = json.loads((tmp_path / "found" / "find.json").read_text())
    assert found["steps"]
    assert found["ended_by"] == "SIGINT"


def test_searches_of_one_second_have_a_directory_each(serve: Any, tmp_path: Path) -> None:
    # As if others had begun in each of the seconds in which this one may.
    now = datetime.now(UTC)
    for after_s in range(60):
        begun = now + timedelta(seconds=after_s)
        (tmp_path / "runs" / f"{begun:%Y%m%d-%H%M%S}-find").mkdir(parents=True)
    finished = cli.run("find", "http://127.0.0.1:9/", "--slo", "p50<1s", cwd=tmp_path)
    assert finished.returncode == 1
    (found,) = tmp_path.glob("runs/*/find.json")
    assert found.parent.name.endswith("-find-2")


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nonsense",), "is not a URL"),
        (("http://h/", "--slo", "max<1s"), "a search needs a percentile"),
        (("http://h/", "--for", "5s"), "a search needs at least 10 s"),
        (("http://h/", "--slo", "p0<1s"), "a percentile is"),
        (("http://h/", "--slo", "p99<15s", "--timeout", "10s"), "10 s is shorter"),
        (("http://h/", "--start", "fast"), "'fast' is not a rate"),
        (("http://127.0.0.1:9/",), "nothing answers at http://127.0.0.1:9/"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments: tuple[str, ...], complaint: str) -> None:
    finished = cli.run_here("find", *arguments, cwd=tmp_path)
    assert finished.returncode in (1, 2)
    assert complaint in finished.stderr.splitlines()[-1]
    assert "Traceback" not in finished.stderr
