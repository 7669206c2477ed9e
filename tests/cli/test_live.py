"""The line that follows long work: on terminals of several widths, and where there is none."""

import asyncio
import contextlib
import json
import os
import re
import select
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tailrace.cli.live import EVERY_S, LiveLine, fit
from tailrace.cli.output import describe_interval
from tailrace.load.judge.answers import SloAnswer
from tailrace.load.measure.point import Percentiles
from tailrace.units import number
from tests.kit import cli
from tests.kit.samples import POINT
from tests.kit.server import answer_raw, http
from tests.kit.terminal import Screen, resize, terminal, watched

SHORT = ("--rate", "200", "--for", "1.5s", "--interval", "250ms")
FIELDS = (
    r" +\d+ s",
    r"\d:\d\d left",
    r"waiting for \d+ answers",
    r"target [\d,.]+/s",
    r"(p50|p99) [\d,.–]+ ms",
    r"(QPS|RPS) [\d,.]+",
    r"(failures|backlog) \d+",
    r"offered [\d,.]+/s",
)


@pytest.mark.slow("starts a run, and reads its terminal")
@pytest.mark.parametrize(
    ("columns", "last"), [(60, "QPS"), (80, "failures"), (120, "offered"), (30, "left")]
)
def test_a_run_is_followed_in_one_line_of_whole_fields(
    serve: Any, tmp_path: Path, columns: int, last: str
) -> None:
    _, screens = watched(cli.command("load", serve().url, *SHORT), columns, tmp_path)
    lines = {row for rows in screens for row in rows if row.strip()}
    assert len(lines) > 3
    for rows in screens:
        assert sum(bool(row.strip()) for row in rows) <= 1
        assert all(len(row) < columns for row in rows)
    for line in lines:
        fields = line.split("  ")
        first = len(fields) - len(line.lstrip().split("  "))
        for field in ["  ".join(fields[: first + 1]), *fields[first + 1 :]]:
            assert any(re.fullmatch(known, field) for known in FIELDS), line
    assert any("0:01 left" in line for line in lines)
    if columns > 30:
        assert all("target 200/s" in line for line in lines)
    assert any(last in line for line in lines)


def test_the_tail_is_that_of_the_window_as_on_the_page(serve: Any, tmp_path: Path) -> None:
    """So a short run's last line says what its result does."""
    command = cli.command("load", serve().url, *SHORT, "--json")
    out, screens = watched(command, 120, tmp_path)
    last = [row for rows in screens for row in rows if " p99 " in row][-1]
    latency = json.loads(out)["latency_ms"]
    for name in ("p50", "p99"):
        assert f"  {name} {number(latency[name])} ms" in last


def test_failures_of_the_whole_window_are_told() -> None:
    points = [
        msgspec.structs.replace(POINT, failed=failed)
        for failed in ({"reset": 4}, {"timeout": 3}, {})
    ]
    fields = describe_interval(points, Percentiles(p50=1, p99=250.4), None)
    assert {"failures 7", "p99 250 ms", "p50 1.00 ms"} <= set(fields)


def test_a_broken_slo_comes_before_what_is_as_it_should_be() -> None:
    answers = [
        SloAnswer("p50<1s", "kept", is_kept=True, reason="none of 900 over it"),
        SloAnswer("p99<1s", "undecided", is_kept=True, needed_s=12.0),
        SloAnswer("max<1s", "broken", is_kept=False),
    ]
    fields = describe_interval([POINT], Percentiles(p50=1, p99=250.4), None, answers)
    order = ["target 50/s", "max<1s broken", "p99 250 ms", "QPS 50", "failures 0"]
    order += ["p50<1s kept", "p99<1s not decided yet (12 s more)", "p50 1.00 ms"]
    assert [field for field in fields if field in order] == order


@pytest.mark.alone("a stretch in which the generator is late is tried again")
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_search_says_how_far_it_is(serve: Any, tmp_path: Path, columns: int) -> None:
    out, screens = watched(
        cli.command(
            *("find", serve().url, "--start", "200", "--max", "400", "--slo", "p50<1s"),
            *("--for", "10s", "--json"),
        ),
        columns,
        tmp_path,
    )
    assert out.startswith("{")
    rows = screens[-1]
    told = [row.split()[0] for row in rows if re.match(r" +\d+/s  (holds|breaks|late) ", row)]
    assert list(dict.fromkeys(told))[:2] == ["200/s", "400/s"]
    live = {row for rows in screens for row in rows if "s left" in row}
    assert all(len(row) < columns for row in live)
    assert {row.split("  ")[1] for row in live} >= {"200/s", "400/s"}
    assert any(re.search(r"  at least [\d,.]+/s  \d s left", row) for row in live)
    assert any("doubling" in row for row in live) == (columns >= 80)
    assert all(sum("s left" in row for row in rows) <= 1 for rows in screens)


@pytest.mark.slow("starts a run, and reads its terminal")
@pytest.mark.parametrize("columns", [50, 80])
def test_loadgen_is_followed_in_one_line(tmp_path: Path, columns: int) -> None:
    test = ("shapes", "--min-duration", "2s", "--min-queries", "100", "--count", "4", "--json")
    out, screens = watched(cli.command("mlperf", *test), columns, tmp_path)
    assert out.startswith("{")
    live = {row for rows in screens for row in rows if "p99 so far" in row}
    assert all(
        re.match(r" +\d+ s  \d:\d\d left  \d+/s  p99 so far [\d,.]+ ms", row) for row in live
    )
    assert all(len(row) < columns for row in live)
    assert all(sum("p99 so far" in row for row in rows) <= 1 for rows in screens)
    assert any("completed" in row for row in live) == (columns == 80)


@pytest.mark.slow("starts a run, and reads its terminal")
def test_what_goes_wrong_comes_before_what_does_not(serve: Any, tmp_path: Path) -> None:
    _, screens = watched(
        cli.command("load", serve(answer_raw(http(b"", 500))).url, *SHORT), 60, tmp_path, code=1
    )
    assert any(re.search("target 200/s  failures [1-9]", row) for rows in screens for row in rows)


async def wanting(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    """Two in three answers are errors, each with a long explanation."""
    status = (b"200 OK", b"404 Not Found", b"503 Service Unavailable")[number % 3]
    text = b"words " * 40
    writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text))


def test_a_summary_fits_its_terminal(serve: Any, tmp_path: Path) -> None:
    command = cli.command(
        *("load", serve(wanting).url, *SHORT, "--out", "run"),
        *("--slo", "p99.9<1s", "--min-duration", "9m", "--mlperf"),
    )
    _, screens = watched(command, 80, tmp_path, code=1, stdout_too=True)
    rows = [row.rstrip() for row in screens[-1]]
    assert max(map(len, rows)) <= 80
    for status in ("404 Not Found", "503 Service Unavail"):
        (row,) = [row for row in rows if re.search(rf"\d+ +\d\S* % +http: {status[:3]} ", row)]
        assert f"HTTP/1.1 {status}" in row
        assert row.endswith("…")
    # Between words, and set off from the next reason.
    heads = ["verdict: INVALID", "MLPerf: not official", "run: run"]
    for (first, last), least in zip(pairwise(map(rows.index, heads)), ("9", "10"), strict=True):
        reasons = rows[first + 1 : last]
        assert all(row.startswith(("  - ", "    ")) for row in reasons)
        assert f"minimum of {least} min" in " ".join(row.strip() for row in reasons)
    (slo,) = (row for row in rows if row.startswith("SLO "))
    assert slo.startswith("SLO p99.9<1s: broken: ")
    assert rows[rows.index("run: run") + 1] == "report: tailrace report run"


@pytest.mark.slow("starts a run, and reads its terminal")
@pytest.mark.parametrize(
    "command",
    [
        ("load", *SHORT[:4], "--interval", "50ms"),
        (*("find", "--start", "200", "--max", "200", "--slo", "p50<1s", "--for", "10s"),),
    ],
)
def test_a_file_is_given_a_line_now_and_then(
    serve: Any, tmp_path: Path, command: tuple[str, ...]
) -> None:
    began_s = time.monotonic()
    finished = cli.run(command[0], serve().url, *command[1:], cwd=tmp_path)
    assert "\r" not in finished.stderr
    assert "\x1b" not in finished.stderr
    lines = sum("QPS" in line or "s left" in line for line in finished.stderr.splitlines())
    assert 1 <= lines <= 1 + (time.monotonic() - began_s) / EVERY_S


@contextlib.contextmanager
def window_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """A terminal of 120 columns as stderr: our end of it, and the program's."""
    with terminal(120) as (ours, theirs), os.fdopen(theirs, "w", closefd=False) as stream:
        monkeypatch.setenv("TERM", "xterm")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            yield ours, theirs


def arrived(fd: int, end: str) -> str:
    """What comes out of a terminal up to `end`: it comes in pieces, and not at once."""
    data = b""
    while not data.endswith(end.encode()):
        assert select.select([fd], [], [], 10)[0], data
        data += os.read(fd, 65536)
    return data.decode()


def test_a_window_made_narrower_and_wider_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with window_of(monkeypatch) as (ours, theirs):
        screen, line = Screen(120), LiveLine()
        line.note("before")
        fields = [f"field {number:02}" for number in range(20)]
        for columns in (120, 70, 40, 100):
            resize(theirs, columns)
            if columns != 120:
                screen.resize(columns)
            line.draw(fields)
            expected = fit(fields, columns - 1)
            *_, rows = screen.feed(arrived(ours, f"{expected}\x1b[J\r"))
            assert rows == ["before", expected]
        line.note("after")
        *_, rows = screen.feed(arrived(ours, "after\r\n"))
        assert rows[:2] == ["before", "after"]


def test_a_note_is_wrapped_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with window_of(monkeypatch) as (ours, theirs):
        resize(theirs, 30)
        line = LiveLine()
        line.note("    10/s  late  the generator was late: give it a core")
        line.note("end")
        *_, rows = Screen(30).feed(arrived(ours, "end\r\n"))
    assert rows[:3] == ["    10/s  late  the generator", "  was late: give it a core", "end"]


def test_an_error_is_wrapped_between_words(tmp_path: Path) -> None:
    command = cli.command("report", "nothing")
    _, screens = watched(command, 60, tmp_path, code=2)
    assert screens[-1][:2] == [
        "tailrace: error: there is no run nothing: give a run's",
        "  directory, or its name below runs/",
    ]


def test_a_terminal_that_is_paused_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with window_of(monkeypatch) as (_, theirs):
        os.set_blocking(theirs, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(theirs, b"." * 4096):
                pass
        os.set_blocking(theirs, True)
        LiveLine().draw(["would wait for ever"])


def test_a_problem_is_reported_once_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    line = LiveLine()
    line.report(["disk"])
    line.report(["worker", "disk"])
    line.report(["worker", "other", "disk"])
    said = capsys.readouterr().err
    assert re.findall(r"error: (\w+)", said) == ["disk", "worker", "other"]


@pytest.mark.parametrize(
    ("fields", "cells", "line"),
    [
        (["ab", "cd", "ef"], 6, "ab  cd"),
        (["ab", "cd", "ef"], 5, "ab"),
        (["ab", "cde", "f"], 6, "ab"),
        (["abc"], 2, "ab"),
        (["漢字", "ab"], 8, "漢字  ab"),
        (["漢字", "ab"], 7, "漢字"),
        (["a\x1b[2Jb\nc"], 12, r"a\x1b[2Jb c"),
        (["ab", "cd"], None, "ab  cd"),
    ],
)
def test_a_line_is_cut_between_fields(fields: list[str], cells: int | None, line: str) -> None:
    assert fit(fields, cells) == line
