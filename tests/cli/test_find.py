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
        *(serve().url, "--slo", "p95<500ms", "--start", "200", "--max", "400", "--json"),
        *("--step", "1s", "--confirm", "2s", "--warmup", "0.5s", "--out", "found"),
        cwd=tmp_path,
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads(finished.stdout)
    assert found["rate_per_s"] == 400
    assert found["confirmed"]
    # On a busy machine some are tried again.
    tried = [step["decision"] for step in found["steps"]]
    assert [decision for decision in tried if decision != "late"] == ["holds"] * 3
    assert json.loads((tmp_path / "found" / "find.json").read_text()) == found
    drawn = ElementTree.parse(tmp_path / "found" / "find.svg").getroot()
    steps = drawn.findall("{http://www.w3.org/2000/svg}circle/{http://www.w3.org/2000/svg}title")
    assert len(steps) == len(tried)
    assert finished.stderr.count("  holds  ") == 3


def test_failures_break_an_slo(serve: Any, tmp_path: Path) -> None:
    finished = cli.run(
        "find",
        *(serve(failing).url, "--start", "200", "--max", "200", "--precision", "0.5"),
        *("--step", "1s", "--longest", "2s", "--confirm", "1s", "--out", "found"),
        cwd=tmp_path,
    )
    assert "  breaks  " in finished.stderr
    steps = json.loads((tmp_path / "found" / "find.json").read_text())["steps"]
    broken = [step for step in steps if step["decision"] == "breaks"]
    assert all(step["failed"] > 0 for step in broken), broken


def test_ctrl_c_keeps_what_was_found(serve: Any, tmp_path: Path) -> None:
    process = cli.start(
        "find",
        *(serve().url, "--start", "1000", "--slo", "p95<1s", "--step", "1s"),
        *("--warmup", "0.5s", "--out", "found"),
        cwd=tmp_path,
    )
    assert process.stderr is not None
    while "holds" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, err
    assert "not confirmed" in out, err
    found = json.loads((tmp_path / "found" / "find.json").read_text())
    assert found["rate_per_s"] >= 1000
    assert found["ended_by"] == "SIGINT"


def test_searches_of_one_second_have_a_directory_each(serve: Any, tmp_path: Path) -> None:
    # As if others had begun in each of the seconds in which this one may.
    now = datetime.now(UTC)
    for after_s in range(60):
        begun = now + timedelta(seconds=after_s)
        (tmp_path / "runs" / f"{begun:%Y%m%d-%H%M%S}-find").mkdir(parents=True)
    finished = cli.run(
        "find",
        *(serve().url, "--start", "100", "--max", "100", "--slo", "p50<1s"),
        *("--step", "100ms", "--confirm", "100ms", "--warmup", "100ms"),
        cwd=tmp_path,
    )
    (found,) = tmp_path.glob("runs/*/find.json")
    assert found.parent.name.endswith("-find-2")
    assert f"run: runs/{found.parent.name}" in finished.stdout


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nonsense",), "is not a URL"),
        (("http://h/", "--slo", "mean<1s"), "a search needs a percentile"),
        (("http://h/", "--slo", "p0<1s"), "a percentile is"),
        (("http://h/", "--slo", "p99<15s", "--timeout", "10s"), "timeout of 10 s is shorter"),
        (("http://h/", "--start", "fast"), "'fast' is not a rate"),
        (("http://127.0.0.1:9/", "--step", "1s"), "nothing answers at http://127.0.0.1:9/"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments: tuple[str, ...], complaint: str) -> None:
    finished = cli.run_here("find", *arguments, cwd=tmp_path)
    assert finished.returncode in (1, 2)
    assert complaint in finished.stderr.splitlines()[-1]
    assert "Traceback" not in finished.stderr
