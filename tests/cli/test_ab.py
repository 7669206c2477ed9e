"""Two services loaded in turns, on the command line."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.kit import cli
from tests.kit.plans import await_intervals
from tests.kit.server import answer_after
from tests.kit.waiting import TIMEOUT_S

SHORT = ("--rate", "100", "--for", "2s", "--rounds", "4", "--warmup", "200ms")


def test_rounds_of_two_services_say_which_is_slower_and_by_how_much(
    serve: Any, tmp_path: Path
) -> None:
    a, b = serve(answer_after(0.02)), serve(answer_after(0.04))
    finished = cli.run(
        *("ab", a.url, b.url, *SHORT, "--out", "made", "--json"),
        *("--regression", "p50+20%", "--markdown", "s.md"),
        cwd=tmp_path,
    )
    assert finished.returncode == 1, finished.stderr
    answer = json.loads(finished.stdout)
    assert json.loads((tmp_path / "made" / "ab.json").read_text()) == answer
    assert (answer["a"], answer["b"]) == (a.url, b.url)
    assert (answer["rounds"], answer["asked"], answer["turn_s"]) == (4, 4, 0.5)
    comparison = answer["comparison"]
    assert (comparison["runs"], comparison["paired"]) == ([4, 4], True)
    found = {one["name"]: one for one in comparison["differences"]}
    assert found["p50"]["more_than_noise"] is True
    low, high = found["p50"]["ratio_interval"]
    assert low < found["p50"]["ratio"] < high
    assert found["p50"]["runs_for_5_percent"] >= 2
    assert [one["outcome"] for one in answer["regressions"]] == ["broken"]
    assert "tailrace ab" in (tmp_path / "s.md").read_text()
    # Both sides of a round had the same schedule, which no other round had; sides took turns.
    turns = [
        (json.loads(file.read_text()), file.parent)
        for file in sorted((tmp_path / "made").glob("*/*/run.json"))
    ]
    turns.sort(key=lambda turn: turn[0]["started"])
    assert [turn[0]["seed"] for turn in turns] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [turn[1].parent.name for turn in turns] == ["a", "b", "b", "a", "a", "b", "b", "a"]
    # As the same runs are compared by their directories.
    again = cli.run("compare", "made/a", "made/b", "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["comparison"] == comparison


@pytest.mark.alone("a busy machine moves turns by as much as what is looked for")
@pytest.mark.parametrize("times", [1.0, 1.1])
def test_what_is_found_is_what_there_is(serve: Any, tmp_path: Path, times: float) -> None:
    """A service that only waits, against itself, and against one that waits for a tenth longer."""
    # Long waits: beside them what a busy machine adds is small.
    a, b = serve(answer_after(0.2)), serve(answer_after(0.2 * times))
    finished = cli.run(
        *("ab", a.url, b.url, "--rate", "100", "--for", "3s", "--rounds", "6"),
        *("--warmup", "200ms", "--out", "made"),
        cwd=tmp_path,
    )
    assert finished.returncode == 0, finished.stderr
    said = {
        name: line
        for line in finished.stdout.splitlines()
        if (name := line.partition(": ")[0]) in ("mean", "p50", "p99")
    }
    # 50 requests in a turn.
    assert said["p99"] == "p99: cannot be told"
    assert "a change of 5 % takes about" in said["p50"]
    document = json.loads((tmp_path / "made" / "ab.json").read_text())
    found = {one["name"]: one for one in document["comparison"]["differences"]}
    assert found["p50"]["ratio"] == pytest.approx(times, abs=0.04)
    if times > 1:
        assert found["p50"]["more_than_noise"] is True
        assert "p50: B is slower than A, +" in said["p50"]


def test_what_was_finished_is_kept_where_it_is_cut_short(serve: Any, tmp_path: Path) -> None:
    server = serve()
    process = cli.start(
        *("ab", server.url, server.url, "--rate", "100", "--for", "60s", "--rounds", "60"),
        *("--warmup", "0s", "--out", "made", "--json"),
        cwd=tmp_path,
    )
    await_intervals(tmp_path / "made" / "a" / "03", 1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, stderr
    answer = json.loads(stdout)
    assert answer["ended_by"] == "SIGINT"
    assert answer["rounds"] >= 2
    for side in "ab":
        assert len(list((tmp_path / "made" / side).iterdir())) == answer["rounds"]


def test_a_service_that_answers_nothing_is_said_at_once(serve: Any, tmp_path: Path) -> None:
    finished = cli.run("ab", serve().url, "http://127.0.0.1:9/", *SHORT, cwd=tmp_path)
    assert finished.returncode == 1
    assert "http://127.0.0.1:9/ answered nothing: " in finished.stderr
    assert "refused" in finished.stderr
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("http://127.0.0.1:9/",), "URL_B"),
        (("http://127.0.0.1:9/", "http://127.0.0.1:9/", "--for", "0s"), "--for"),
        (("http://127.0.0.1:9/", "http://127.0.0.1:9/", "--rate", "0"), "rate"),
        (("http://127.0.0.1:9/", "nowhere"), "nowhere"),
        (("http://127.0.0.1:9/", "http://127.0.0.1:9/", "--rounds", "0"), "rounds"),
        (("http://127.0.0.1:9/", "http://127.0.0.1:9/", "--regression", "p99"), "no bound"),
    ],
)
def test_what_cannot_work_is_said_before_any_load(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    finished = cli.run_here("ab", *arguments, cwd=tmp_path)
    assert finished.returncode == 2
    assert complaint in finished.stderr
    assert not (tmp_path / "runs").exists()
