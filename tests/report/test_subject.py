import json
import shutil
from pathlib import Path

import pytest

from tailrace.errors import UsageError
from tailrace.report.subject import LABELS, find_directory, read_subjects


def test_a_run_without_a_result_has_the_same_percentiles(runs: Path) -> None:
    slow, killed = read_subjects([runs / "slow", runs / "killed"])
    assert (slow.label, killed.label) == ("A", "B")
    assert killed.record.result is None
    assert killed.result.latency_ms.p99 == slow.result.latency_ms.p99
    for name, span in slow.result.confidence_ms.items():
        again = killed.result.confidence_ms[name]
        assert again == (span and pytest.approx(span, abs=1e-3))
    assert killed.reasons == slow.reasons != {}
    assert killed.result.examples == slow.result.examples
    completed_per_s = killed.info.completed / killed.info.duration_s
    assert killed.result.rate.completed == pytest.approx(completed_per_s, abs=1e-3)
    assert killed.info.completed == slow.info.completed
    assert [slo.expression for slo in killed.slos] == ["p99<1ms"]


def test_failures_of_intervals_add_up_and_the_first_example_is_kept(
    runs: Path, tmp_path: Path
) -> None:
    path = shutil.copytree(runs / "killed", tmp_path / "run")
    first = json.loads((path / "timeline.jsonl").read_text().splitlines()[0])
    told = [
        {"failed": {"http_4xx": 3}, "reasons": {"http: 404": 2, "http: 401": 1}, "examples": {}},
        {"failed": {"http_4xx": 5}, "reasons": {"http: 404": 5}, "examples": {"http: 404": "one"}},
        {"failed": {"timeout": 4}, "reasons": {}, "examples": {"http: 404": "a later one"}},
    ]
    node = {"workers": 1, "rps": 9.0, "send_lag_p99_us": None, "cpu_percent": 1.0}
    told[-1]["nodes"] = {"a": {**node, "seen_s": 0.3, "clock_error_ms": 0.1}}
    lines = [json.dumps({**first, "index": at, **fields}) for at, fields in enumerate(told)]
    (path / "timeline.jsonl").write_text("\n".join(lines) + "\n")
    (subject,) = read_subjects([path])
    assert list(subject.result.nodes) == ["a"]
    assert subject.reasons == {"http: 404": 7, "http: 401": 1, "timeout": 4}
    assert subject.result.examples == {"http: 404": "one"}


def test_a_run_says_where_it_was_made(runs: Path, tmp_path: Path) -> None:
    path = shutil.copytree(runs / "fast", tmp_path / "run")
    (subject,) = read_subjects([path])
    assert subject.label == ""
    assert subject.environment is not None
    assert subject.environment.python
    asked = json.loads((path / "run.json").read_text())
    for environment in (None, {"cores": "many"}, []):
        (path / "run.json").write_text(json.dumps({**asked, "environment": environment}))
        (edited,) = read_subjects([path])
        assert edited.environment is None


def test_a_damaged_directory_is_read_as_far_as_it_goes(runs: Path, tmp_path: Path) -> None:
    path = shutil.copytree(runs / "fast", tmp_path / "run")
    (path / "run.json").write_bytes(b"\xff{")
    (path / "latency.hlog").unlink()
    (path / "result.json").write_text("{}")
    (subject,) = read_subjects([path])
    assert subject.asked is None
    assert subject.environment is None
    assert subject.latency.total == 0
    assert subject.result.latency_ms.p99 is None
    assert subject.record.points


def test_a_run_is_found_by_path_or_by_name(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_directory("fast", runs) == runs / "fast"
    assert find_directory(str(runs / "fast")) == runs / "fast"
    (tmp_path / "other").mkdir()
    for text in ("nothing", "other"):
        with pytest.raises(UsageError, match=f"there is no run {text}: give a run's directory"):
            find_directory(text, runs)


def test_more_runs_than_colours_are_too_many(runs: Path) -> None:
    with pytest.raises(UsageError, match="too many"):
        read_subjects([runs / "fast"] * (len(LABELS) + 1))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2030-01-04T10:11:12.131+00:00", "2030-01-04 10:11:12 UTC"),
        ("2030-01-04T10:11:12Z", "2030-01-04 10:11:12 UTC"),
        ("2030-01-04T10:11:12+02:00", "2030-01-04T10:11:12+02:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_only_an_instant_in_utc_is_said_as_one(
    runs: Path, tmp_path: Path, text: str, said: str
) -> None:
    path = shutil.copytree(runs / "fast", tmp_path / "run")
    asked = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**asked, "started": text}))
    (subject,) = read_subjects([path])
    assert subject.started == said
