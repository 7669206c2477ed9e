"""Runs read back: finished, in progress, killed, damaged."""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from tailrace.errors import UsageError
from tailrace.load.measure.histogram import HIGHEST_US
from tailrace.load.measure.point import Point
from tailrace.runs.directory import RunDirectory
from tailrace.runs.files import FILES
from tailrace.runs.listing import (
    RunInfo,
    UnknownRunError,
    list_runs,
    list_searches,
    locate_runs,
    read_run,
)
from tailrace.runs.run import Run
from tests.kit.plans import leave_run, make_plan
from tests.kit.samples import POINT
from tests.kit.waiting import TIMEOUT_S

CONTROL_ROOM = """
import asyncio, sys
from pathlib import Path
from tailrace.control.controller import Controller, ServiceConfig

async def main():
    config = ServiceConfig(id="s", url=sys.argv[1], profile="300", slo=("p99<10s", "mean<1us"))
    room = Controller([config], interval_s=0.2, runs_dir=Path(sys.argv[2]))
    await room.start("s")
    async for update in room.watch("s"):
        if update.point is not None:
            print(update.point.index, flush=True)

asyncio.run(main())
"""


SETTINGS = {"interval_s": 0.2, "slo": "p99<5s", "min_duration_s": 0.5}


def only(base: Path) -> RunInfo:
    (info,) = list_runs(base)
    return info


def points_in(path: Path) -> list[Point]:
    lines = (path / "timeline.jsonl").read_text().splitlines()
    return [msgspec.json.decode(line, type=Point) for line in lines]


async def test_a_finished_run_is_told_as_its_result_says(serve: Any, tmp_path: Path) -> None:
    server = serve()
    result, _ = await leave_run(tmp_path / "a", server.url, "300", **SETTINGS)
    info = only(tmp_path)
    assert info.name == "a"
    assert (info.target, info.arrivals, info.profile) == (server.url, "poisson", "300")
    assert info.state == "finished"
    assert (info.completed, info.failed) == (result.completed, 0)
    assert (info.p99_ms, info.duration_s) == (result.latency_ms.p99, result.duration_s)
    assert (info.verdict, info.slo) == (result.verdict, {"p99<5s": True})
    assert info.started == json.loads((tmp_path / "a" / "run.json").read_text())["started"]
    record = read_run(tmp_path, "a")
    assert record.info == info
    assert record.result == result
    assert list(record.points) == points_in(tmp_path / "a")
    assert info.intervals == len(record.points) > 1


async def test_run_json_says_what_was_asked(serve: Any, tmp_path: Path) -> None:
    await leave_run(tmp_path / "a", serve().url, "300", **SETTINGS)
    asked = json.loads((tmp_path / "a" / "run.json").read_text())
    assert asked["slos"] == ["p99<5s"]
    assert asked["min_duration_s"] == 0.5
    assert asked["method"] == "GET"
    assert "headers" not in asked
    assert asked["environment"]["usable_cores"] == len(os.sched_getaffinity(0))


async def test_a_run_is_running_until_it_has_a_result(serve: Any, tmp_path: Path) -> None:
    plan = make_plan(serve().url, "300", **SETTINGS)
    run = Run(plan, tmp_path / "a")
    assert only(tmp_path).state == "running"
    assert only(tmp_path).p99_ms is None
    await run.start()
    seen = 0
    async for interval in run.intervals():
        seen += interval.point.completed
        info = only(tmp_path)
        assert info.state == "running"
        assert info.verdict is None
        assert (info.intervals, info.completed) == (interval.point.index + 1, seen)
        assert info.duration_s == interval.point.t_s
        assert info.p99_ms is not None
        assert info.slo == {"p99<5s": True}
    assert only(tmp_path).state == "finished"


async def test_a_run_whose_task_was_cancelled_is_interrupted(serve: Any, tmp_path: Path) -> None:
    plan = make_plan(serve().url, "300", duration_s=60, **SETTINGS)
    run = Run(plan, tmp_path / "a")
    await run.start()

    async def follow() -> None:
        async for _ in run.intervals():
            first.set()

    first = asyncio.Event()
    task = asyncio.create_task(follow())
    await first.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert only(tmp_path).state == "interrupted"
    run.session.abandon()


def test_a_control_room_killed_outright_leaves_an_interrupted_run(
    serve: Any, tmp_path: Path
) -> None:
    base = tmp_path / "runs"
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROL_ROOM, serve().url, str(base)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for expected in range(4):
        assert process.stdout.readline() == f"{expected}\n"
    assert only(base).state == "running"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(TIMEOUT_S)
    process.stdout.close()

    info = only(base)
    assert info.state == "interrupted"
    points = points_in(base / info.name)
    assert info.intervals == len(points) >= 4
    assert info.completed == sum(point.completed for point in points) > 0
    assert info.duration_s == points[-1].t_s
    assert info.verdict is None
    assert info.slo == {"p99<10s": True, "mean<1us": False}
    record = read_run(base, info.name)
    assert record.result is None
    assert list(record.points) == points

    log = HistogramLogReader(str(base / info.name / "latency.hlog"), HdrHistogram(1, HIGHEST_US, 3))
    merged = HdrHistogram(1, HIGHEST_US, 3)
    while (logged := log.get_next_interval_histogram()) is not None:
        merged.add(logged)
    rank = -(-merged.get_total_count() * 99 // 100)
    p99_us = merged.get_value_at_percentile(100 * rank / merged.get_total_count())
    assert info.p99_ms == pytest.approx(p99_us / 1000, rel=2e-3, abs=2e-3)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def rubbish(path: Path) -> None:
    path.write_bytes(b'\xff\xfe{"started": 5, [[[\n\x00\n{}\n' * 3)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, rubbish, empty, Path.unlink])
async def test_what_can_be_read_of_a_damaged_run_is_shown(
    serve: Any, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    server = serve()
    result, _ = await leave_run(tmp_path / "whole", server.url, "300", **SETTINGS)
    whole = len(points_in(tmp_path / "whole"))

    def damaged(name: str, unfinished: bool = False) -> tuple[RunInfo, tuple[Point, ...]]:
        path = tmp_path / "damaged"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", path)
        if unfinished:
            (path / "result.json").unlink()
        damage(path / name)
        record = read_run(tmp_path, "damaged")
        assert record.info in list_runs(tmp_path)
        return record.info, record.points

    lost = 1 if damage is cut else whole
    info, points = damaged("timeline.jsonl")
    assert (info.state, info.completed) == ("finished", result.completed)
    assert info.intervals == len(points) == whole - lost

    info, points = damaged("timeline.jsonl", unfinished=True)
    assert info.state == "interrupted"
    assert info.intervals == len(points) == whole - lost
    assert info.completed == sum(point.completed for point in points)
    assert info.p99_ms is not None

    info, points = damaged("result.json")
    assert len(points) == whole
    assert info.state == ("interrupted" if damage is Path.unlink else "broken")
    assert info.p99_ms == pytest.approx(result.latency_ms.p99, rel=1e-3)
    assert info.completed == result.completed

    info, _ = damaged("latency.hlog", unfinished=True)
    assert (info.p99_ms is None) == (damage is not cut)

    if damage is not Path.unlink:
        info, points = damaged("run.json")
        assert (info.state, info.target) == ("broken", server.url)
        assert "run.json cannot be read" in info.problems[0]
        assert info.started
        assert len(points) == whole


async def test_no_damage_raises(serve: Any, tmp_path: Path) -> None:
    await leave_run(tmp_path / "a", serve().url, "300", **SETTINGS)
    whole = {name: (tmp_path / "a" / name).read_bytes() for name in FILES}
    draw = random.Random(7)
    for _ in range(300):
        for name, content in whole.items():
            bytes_ = bytearray(content)
            for _ in range(draw.randrange(4)):
                at = draw.randrange(len(bytes_))
                bytes_[at : at + draw.randrange(3)] = draw.randbytes(draw.randrange(3))
            if draw.random() < 0.2:
                del bytes_[draw.randrange(len(bytes_)) :]
            (tmp_path / "a" / name).write_bytes(bytes_)
        record = read_run(tmp_path, "a")
        assert record.info.state in ("finished", "interrupted", "broken")
        assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record


async def test_a_timeline_of_before_is_read(serve: Any, tmp_path: Path) -> None:
    await leave_run(tmp_path / "a", serve().url, "300", **SETTINGS)
    timeline = tmp_path / "a" / "timeline.jsonl"
    old = []
    for line in timeline.read_text().splitlines():
        fields = json.loads(line)
        for name in ("events", "latency_bins", "slowest", "server"):
            del fields[name]
        old.append(json.dumps(fields))
    timeline.write_text("\n".join(old) + "\n")
    assert len(read_run(tmp_path, "a").points) >= 3


@pytest.mark.parametrize(
    "fields",
    [
        {"latency_bins": {"4000000000": 1}},
        {"latency_bins": {"-1": 1}},
        {"latency_bins": {"3": -1}},
        {"latency_bins": {"3": 2**80}},
        {"failed": {"timeout": -1}},
        {"t_s": 1e300},
        {"t_s": -1},
        {"wall_time": 1e300},
        {"interval_s": 0},
        {"interval_s": -1},
        {"index": -1},
        {"index": 2**70},
        {"completed": 2**70},
        {"stages_ms": {f"stage {number}": {"p99": 1} for number in range(1_000)}},
        {"components_us": {f"stage {number}": [] for number in range(1_000)}},
        {"failed": {f"kind {number}": 1 for number in range(1_000)}},
    ],
)
async def test_an_interval_that_no_run_has_is_not_read(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    """Drawn, it would take the browser for ever, or the reports with it."""
    RunDirectory(tmp_path / "a", make_plan("http://h/")).close()
    sound = msgspec.to_builtins(POINT, str_keys=True)
    timeline = tmp_path / "a" / "timeline.jsonl"
    timeline.write_text("".join(json.dumps(line) + "\n" for line in (sound, sound | fields)))
    assert read_run(tmp_path, "a").points == (POINT,)


async def test_sums_of_other_bins_than_there_are_are_left_out(tmp_path: Path) -> None:
    RunDirectory(tmp_path / "a", make_plan("http://h/")).close()
    bins = {"latency_bins": {"3": 1, "5": 2}}
    lines = [
        json.dumps(msgspec.to_builtins(POINT) | bins | {"components_us": {"infer": sums}})
        for sums in ([40, 90], [40], [40, 90, 1])
    ]
    (tmp_path / "a" / "timeline.jsonl").write_text("\n".join(lines))
    told = [point.components_us for point in read_run(tmp_path, "a").points]
    assert told == [{"infer": (40, 90)}, {}, {}]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../runs/a", "a/", "/", "a/../a", "\0", "a\0", "\udcff", "x" * 5000, "b"],
)
def test_a_name_leads_nowhere_but_to_a_run(tmp_path: Path, name: str) -> None:
    base = tmp_path / "runs"
    RunDirectory(base / "a", make_plan("http://h/")).close()
    RunDirectory(tmp_path / "b", make_plan("http://h/")).close()
    assert read_run(base, "a").info.state == "interrupted"
    with pytest.raises(UnknownRunError, match="no run"):
        read_run(base, name)


def test_what_is_no_run_is_passed_over(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "absent") == ()
    with pytest.raises(UnknownRunError):
        read_run(tmp_path / "absent", "a")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "find.json").write_text("{}")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).mkdir()
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")) / "run.json").write_text("{}")
    (tmp_path / "loop").symlink_to("loop")
    assert list_runs(tmp_path) == ()


def test_a_search_that_cannot_be_read_is_listed_as_broken(tmp_path: Path) -> None:
    for name, text in (("a", "{}"), ("b", "[" * 100_000), ("c", '{"target": 1}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "find.json").write_text(text)
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d" / "find.json")
    found = list_searches(tmp_path)
    assert sorted(search.name for search in found) == ["a", "b", "c", "d"]
    assert {(search.ended_by, search.confirmed, search.steps) for search in found} == {
        ("broken", False, 0)
    }
    assert all("find.json" in search.reason for search in found)


def test_the_newest_comes_first(tmp_path: Path) -> None:
    for name, day in (("a", 2), ("b", 3), ("c", 1)):
        RunDirectory(tmp_path / name, make_plan("http://h/")).close()
        (tmp_path / name / "run.json").write_text(f'{{"started": "2030-01-0{day}"}}')
    assert [info.name for info in list_runs(tmp_path)] == ["b", "a", "c"]


def test_threads_may_list_at_the_same_time(tmp_path: Path) -> None:
    plan = make_plan("http://h/")
    for number in range(40):
        RunDirectory(tmp_path / f"{number:02}", plan).close()
    with ThreadPoolExecutor(8) as threads:
        listings = list(threads.map(list_runs, [tmp_path] * 32))
    assert all(listing == listings[0] for listing in listings)
    assert {info.state for info in listings[0]} == {"interrupted"}


def test_a_directory_of_runs_stands_for_all_in_it(tmp_path: Path) -> None:
    for name in ("one", "many/2", "many/1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}")
    (tmp_path / "many" / "notes").mkdir()
    found = locate_runs(tmp_path, ["many", str(tmp_path / "one"), "many/1"])
    assert [path.relative_to(tmp_path) for path in found] == [
        Path("many/1"),
        Path("many/2"),
        Path("one"),
    ]
    with pytest.raises(UsageError, match="there is no run notes"):
        locate_runs(tmp_path, ["one", "notes"])
