import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import TailraceError
from tailrace.mlperf.logs import (
    ACCURACY,
    DETAIL,
    SUMMARY,
    TRACE,
    add_error,
    close_logs,
    read_detail,
    read_summary,
)
from tests.mlperf.loadgen_runs import ACCURACY_RUNS, FILES, NAME, PERFORMANCE, SAMPLES, logs_of

PEAK = pytest.mark.alone("LoadGen looks for the peak of this machine")
WHOLE = (
    *(*PERFORMANCE, *ACCURACY_RUNS, "traced", "slow-server", "no-peak"),
    pytest.param("find-peak", marks=PEAK),
)


@pytest.fixture
def copy(tmp_path: Path) -> Any:
    def of(name: str) -> Path:
        return shutil.copytree(logs_of(name), tmp_path / name)

    return of


def contents_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def as_mlperf_reads(folder: Path) -> list[dict[str, Any]]:
    """As MLPerf's submission checker: each line of LoadGen's must be JSON."""
    lines = (folder / DETAIL).read_text(encoding="utf-8").splitlines()
    return [json.loads(line[len(":::MLLOG") :]) for line in lines if line.startswith(":::MLLOG")]


def events_in(trace: bytes) -> list[Any]:
    """Events of a trace, a line each. LoadGen 6.0 writes some that are no JSON (`""key""`)."""
    events = []
    for line in trace.split(b"\n"):
        with contextlib.suppress(ValueError):
            event = json.loads(line.rstrip(b","))
            events += [event] if isinstance(event, dict) else []
    return events


@pytest.mark.parametrize("name", WHOLE)
def test_reads_what_loadgen_writes(name: str) -> None:
    detail, summary = read_detail(logs_of(name)), read_summary(logs_of(name))
    assert detail.text("sut_name") == NAME
    assert detail.number("qsl_reported_total_count") == SAMPLES
    assert detail.values["effective_schedule_rng_seed"] == 16159082839903944936
    assert not detail.truncated
    assert not detail.broken_lines
    assert summary.complete
    assert len(detail.errors) == (1 if name == "no-peak" else 0)


@pytest.mark.parametrize("name", [*PERFORMANCE, "find-peak", "slow-server", "no-peak", "traced"])
def test_summary_has_the_verdict_of_the_detail_log(name: str) -> None:
    detail, summary = read_detail(logs_of(name)), read_summary(logs_of(name))
    assert summary.valid is (detail.text("result_validity") == "VALID")
    # Whether a peak is proven, too, is the machine's affair.
    if name != "find-peak":
        assert summary.valid is (name in PERFORMANCE)
    assert summary.fields["SUT name"] == NAME
    assert summary.fields["Scenario"] == detail.text("effective_scenario")
    assert summary.fields["Mode"] == detail.text("effective_test_mode")


@pytest.mark.parametrize("name", ACCURACY_RUNS)
def test_accuracy_has_no_verdict(name: str) -> None:
    assert read_summary(logs_of(name)).valid is None


@PEAK
def test_the_last_value_of_a_key_counts() -> None:
    detail = read_detail(logs_of("find-peak"))
    queries = [
        line["value"]
        for line in as_mlperf_reads(logs_of("find-peak"))
        if line["key"] == "generated_query_count"
    ]
    assert len(queries) > 1
    assert detail.number("generated_query_count") == queries[-1]
    assert any("Found peak performance field" in text for text in detail.messages)


def test_kinds_do_not_mix(tmp_path: Path) -> None:
    lines = [
        f":::MLLOG {json.dumps({'key': key, 'value': value})}"
        for key, value in {"a": True, "b": 1, "c": "1", "d": [1]}.items()
    ]
    (tmp_path / DETAIL).write_text("\n".join(lines) + "\n")
    detail = read_detail(tmp_path)
    assert [detail.number(key) for key in "abcde"] == [None, 1, None, None, None]
    assert [detail.text(key) for key in "abcde"] == [None, None, "1", None, None]
    assert [detail.flag(key) for key in "abcde"] == [True, None, None, None, None]


def test_broken_lines_are_numbered(copy: Any) -> None:
    folder = copy("server")
    lines = (folder / DETAIL).read_bytes().split(b"\n")
    lines[3] = lines[3][:40]
    (folder / DETAIL).write_bytes(b"\n".join(lines))
    assert read_detail(folder).broken_lines == (4,)


@pytest.mark.parametrize("reader", [read_detail, read_summary])
def test_missing_logs_are_told(reader: Any, tmp_path: Path) -> None:
    with pytest.raises(TailraceError, match="there is no"):
        reader(tmp_path)
    (tmp_path / DETAIL).mkdir()
    (tmp_path / SUMMARY).mkdir()
    with pytest.raises(TailraceError, match="cannot be read"):
        reader(tmp_path)


@given(st.binary(max_size=300), st.booleans())
def test_reads_anything(data: bytes, marked: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = b":::MLLOG " + data if marked else data
        (folder / DETAIL).write_bytes(data)
        (folder / SUMMARY).write_bytes(data)
        read_detail(folder)
        assert read_summary(folder).valid is None


def test_deep_nesting_is_a_broken_line(tmp_path: Path) -> None:
    (tmp_path / DETAIL).write_text(":::MLLOG " + "[" * 200_000 + "\n")
    assert read_detail(tmp_path).broken_lines == (1,)


@pytest.mark.parametrize("name", WHOLE)
def test_closing_whole_logs_changes_nothing(name: str, copy: Any) -> None:
    folder = copy(name)
    close_logs(folder, "nothing")
    assert contents_of(folder) == contents_of(logs_of(name))


def test_closes_the_logs_of_a_killed_test(copy: Any) -> None:
    folder = copy("killed")
    close_logs(folder, "its process\nwas killed")
    entries = json.loads((folder / ACCURACY).read_text())
    assert len(entries) < SAMPLES
    assert as_mlperf_reads(folder)
    summary = read_summary(folder)
    assert summary.text.startswith("Written by Tailrace")
    assert summary.text.endswith("its process was killed\n")
    assert (summary.valid, summary.complete) == (None, False)


def test_a_reason_cannot_pass_for_a_verdict(copy: Any) -> None:
    folder = copy("killed")
    close_logs(folder, "Result is : VALID\nResult is : VALID\nNo errors encountered during test.")
    summary = read_summary(folder)
    assert (summary.valid, summary.complete) == (None, False)


@settings(max_examples=60)
@given(st.data())
def test_closes_logs_cut_at_any_byte(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["server-accuracy", "traced", "multi-stream"]))
    whole = contents_of(logs_of(name))
    cut = {
        file: content[: data.draw(st.integers(0, len(content)), label=file)]
        for file, content in whole.items()
    }
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        for file, content in cut.items():
            (folder / file).write_bytes(content)
        close_logs(folder, "it was cut")
        closed = contents_of(folder)

        lines = as_mlperf_reads(folder)
        assert len(lines) - cut[DETAIL].count(b"\n") in (0, 1)
        assert whole[DETAIL].startswith(closed[DETAIL])

        entries = json.loads(closed[ACCURACY])
        assert entries == json.loads(whole[ACCURACY])[: len(entries)]
        assert len(entries) == cut[ACCURACY].count(b"}")

        if cut[TRACE]:
            if cut[TRACE].rstrip() != whole[TRACE].rstrip():
                events = json.loads(closed[TRACE])["traceEvents"]
                assert events == events_in(whole[TRACE])[: len(events)]
                assert len(events) == len(events_in(cut[TRACE]))
        else:
            assert not closed[TRACE]

        assert closed[SUMMARY] == cut[SUMMARY] or not cut[SUMMARY]
        assert closed[SUMMARY]

        close_logs(folder, "again")
        assert contents_of(folder) == closed
        assert not list(folder.glob("*.part"))


def test_a_last_line_that_lacks_its_newline_alone_is_kept(copy: Any) -> None:
    folder = copy("server")
    whole = (folder / DETAIL).read_bytes()
    (folder / DETAIL).write_bytes(whole[:-1])
    assert not read_detail(folder).truncated
    close_logs(folder, "it was cut")
    assert (folder / DETAIL).read_bytes() == whole


def test_keeps_what_is_whole_behind_a_hole(copy: Any) -> None:
    folder = copy("server-accuracy")
    whole = (folder / ACCURACY).read_bytes()
    entries = whole.splitlines()
    entries[5] = b"\0" * 80
    (folder / ACCURACY).write_bytes(b"\n".join(entries[:-1]))
    close_logs(folder, "the disk was full")
    assert len(json.loads((folder / ACCURACY).read_text())) == SAMPLES - 1


def test_closing_an_empty_folder_says_why(tmp_path: Path) -> None:
    close_logs(tmp_path, "it never began")
    assert [file.name for file in tmp_path.iterdir()] == [SUMMARY]


def test_closing_tells_of_a_file_that_it_cannot_write(copy: Any) -> None:
    folder = copy("killed")
    (folder / f"{ACCURACY}.part").mkdir()
    with pytest.raises(TailraceError, match="cannot write"):
        close_logs(folder, "nothing")


def test_adds_an_error_that_mlperf_reads(copy: Any) -> None:
    folder = copy("server")
    before = as_mlperf_reads(folder)
    add_error(folder, '3 samples failed: "no" answer \\ é')
    after = as_mlperf_reads(folder)
    assert after[:-1] == before
    added = after[-1]
    assert added["metadata"]["is_error"] is True
    assert added.keys() == before[-1].keys()
    assert added["metadata"].keys() == before[-1]["metadata"].keys()
    assert added["time_ms"] == before[-1]["time_ms"]
    detail = read_detail(folder)
    assert detail.errors == detail.own_errors == ('3 samples failed: "no" answer \\ é',)


def test_adds_an_error_once(copy: Any) -> None:
    folder = copy("server")
    add_error(folder, "one")
    once = contents_of(folder)
    add_error(folder, "one")
    assert contents_of(folder) == once
    add_error(folder, "two")
    assert read_detail(folder).errors == ("one", "two")


def test_adds_an_error_after_a_half_written_line(copy: Any) -> None:
    folder = copy("server")
    (folder / DETAIL).write_bytes((folder / DETAIL).read_bytes()[:-30])
    add_error(folder, "killed")
    assert as_mlperf_reads(folder)[-1]["value"] == "killed"


def test_adds_an_error_where_there_is_no_log(tmp_path: Path) -> None:
    add_error(tmp_path, "it never began")
    assert read_detail(tmp_path).errors == ("it never began",)
