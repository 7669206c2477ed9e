"""Runs read back from their directories, whatever state these are in.

A run that was killed, a disk that was full, a file that was edited: what can be read is shown.
Everything here may be called from any thread, and blocks for as long as the disk takes.
"""

import fcntl
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec

from tailrace.errors import UsageError
from tailrace.load.judge.slo import Slo, readable_slos
from tailrace.load.judge.verdict import Verdict
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.measurement import MOST_COUNT, Count, Measurement
from tailrace.load.measure.point import Percentiles, Point, Seconds, kept
from tailrace.load.session.result import Result
from tailrace.load.session.search import Found
from tailrace.runs.directory import read_search
from tailrace.runs.files import FILES, MOST_BYTES, RunFiles
from tailrace.runs.histogram_log import start_of
from tailrace.runs.label import LABEL, read_label
from tailrace.runs.record import BROKEN, Asked, RunInfo, RunRecord, SearchInfo, UnknownRunError
from tailrace.untrusted import UnreadableError, open_file

_REMEMBERED = 4096

_Versions = tuple[tuple[int, int] | None, ...]
_Text = Annotated[str, msgspec.Meta(max_length=2**18)]


class _Outcome(msgspec.Struct, frozen=True):
    """What it takes from result.json."""

    target: _Text
    arrivals: _Text
    duration_s: Seconds
    completed: Count
    failed: dict[str, Count]
    latency_ms: Percentiles
    verdict: Verdict
    slo: dict[str, bool] = {}
    ended_by: str | None = None


class _Line(msgspec.Struct, frozen=True):
    """What it takes from a line of timeline.jsonl; the rest of it is skipped."""

    index: Count
    t_s: Seconds
    completed: Count
    failed: dict[str, Count]


def list_runs(base: Path) -> tuple[RunInfo, ...]:
    """The runs in the directories directly below `base`, newest first; none if it is not there.

    A directory without run.json is none of ours, or a search's, and is passed over.
    """
    found = [_read_info(Path(base, name)) for name in _names(base)]
    return tuple(sorted(found, key=lambda info: (info.started, info.name), reverse=True))


def list_searches(base: Path) -> tuple[SearchInfo, ...]:
    """The searches in the directories directly below `base`, newest first; one whose outcome cannot
    be read is BROKEN, and its reason says why.
    """
    paths = [Path(base, name) for name in _names(base, "find.json")]
    found = [_search(path, _versions(path, "find.json", LABEL)) for path in paths]
    return tuple(sorted(found, key=lambda search: (search.ended, search.name), reverse=True))


def find_either(base: Path, name: str) -> Path:
    """The directory of the run or search `name` below `base`.

    Raises:
        UnknownRunError: `base` lists neither.
    """
    if name not in _names(base) | _names(base, "find.json"):
        raise UnknownRunError(f"no run or search {name!r} in {base}")
    return base / name


def is_running(path: Path) -> bool:
    """Whether the run in the directory `path` is in progress."""
    return _is_held(path / "timeline.jsonl")


def find_run(base: Path, name: str) -> Path:
    """The directory of the run `name` below `base`.

    Raises:
        UnknownRunError: `base` lists no run of that name.
    """
    # Only what the directory itself lists: no name, however it is written, leads out of it.
    if name not in _names(base):
        raise UnknownRunError(f"no run {name!r} in {base}")
    return base / name


def locate_run(base: Path, text: str) -> Path:
    """The directory of the run that a person called `text`: its path, or its name below `base`.

    Raises:
        UsageError: it is neither.
    """
    for path in (Path(text), base / text):
        whole = path.resolve()
        if whole.name in _names(whole.parent):
            return path
    raise UsageError(f"there is no run {text}: give a run's directory, or its name below {base}/")


def read_run(base: Path, name: str) -> RunRecord:
    """The run `name` below `base`, with every interval that it finished.

    Raises:
        UnknownRunError: there is none of that name.
    """
    path = find_run(base, name)
    files = RunFiles(path)
    # Of counts that no run has, nothing is to be drawn.
    result = files.result(Result) if files.result(_Outcome) is not None else None
    points = tuple(files.points())
    slos = readable_slos((files.asked() or Asked()).slo)
    if slos and not any(point.slo for point in points):
        points = _judged(points, slos, files.intervals().histograms())
    return RunRecord(info=_read_info(path), points=points, result=result)


def _judged(
    points: Iterable[Point], slos: Sequence[Slo], latencies: Mapping[str, Histogram]
) -> tuple[Point, ...]:
    """Intervals of a run that was made before each was judged as it ended."""

    def judged(point: Point) -> Point:
        latency = latencies.get(start_of(point))
        if latency is None:
            return point
        measured = Measurement(
            completed=point.completed,
            reasons=point.reasons or point.failed,
            series={"latency": latency},
        )
        slo = kept(measured, slos) if point.completed or point.failed else {}
        return msgspec.structs.replace(point, slo=slo)

    return tuple(map(judged, points))


def _names(base: Path, file: str = "run.json") -> set[str]:
    try:
        # Names that are no text cannot be told in JSON, nor be asked for.
        return {
            name
            for name in os.listdir(base)  # noqa: PTH208
            if name.isprintable() and os.path.lexists(f"{base}/{name}/{file}")
        }
    except OSError:
        return set()


def _read_info(path: Path) -> RunInfo:
    # Before anything else is read: a run gives its lock back after it has written its result.
    running = is_running(path)
    info = _info(path, _versions(path, *FILES, LABEL))
    if running and info.state == "interrupted":
        return msgspec.structs.replace(info, state="running")
    return info


def _is_held(timeline: Path) -> bool:
    """Whether a process has this open for a run (see RunDirectory). The kernel lets go of its lock
    when it ends, however it ends.
    """
    try:
        with open_file(timeline, MOST_BYTES[timeline.name]) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, UnreadableError):
        return False
    return False


def _version(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.lstat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _versions(path: Path, *names: str) -> _Versions:
    return tuple(_version(path / name) for name in names)


@lru_cache(maxsize=_REMEMBERED)
def _info(path: Path, versions: _Versions) -> RunInfo:
    """The run as its files say, but whether it is in progress; worked out once a version of
    them.
    """
    files = RunFiles(path)
    files.look()
    asked = files.asked() or Asked()
    started = asked.started or _made(versions[0])
    outcome = files.result(_Outcome)
    label = read_label(path)
    if outcome is not None:
        last = files.last_line(_Line)
        return RunInfo(
            name=path.name,
            target=outcome.target,
            arrivals=outcome.arrivals,
            profile=asked.profile or "",
            started=started,
            state="broken" if files.problems else "finished",
            duration_s=outcome.duration_s,
            ended_by=outcome.ended_by,
            intervals=last.index + 1 if last else 0,
            completed=outcome.completed,
            failed=min(sum(outcome.failed.values()), MOST_COUNT),
            p99_ms=outcome.latency_ms.p99,
            verdict=outcome.verdict,
            slo=outcome.slo,
            problems=tuple(files.problems),
            title=label.title,
            note=label.note,
        )
    # Added up one by one: a timeline may be longer than the memory has room for.
    intervals = completed = failed = 0
    duration_s = 0.0
    for line in files.lines(_Line):
        intervals += 1
        completed += line.completed
        failed += sum(line.failed.values())
        duration_s = line.t_s
    latency = files.latency()
    return RunInfo(
        name=path.name,
        target=asked.url,
        arrivals=asked.arrivals,
        profile=asked.profile or "",
        started=started,
        state="broken" if files.problems else "interrupted",
        duration_s=duration_s,
        intervals=intervals,
        completed=min(completed, MOST_COUNT),
        failed=min(failed, MOST_COUNT),
        p99_ms=Percentiles.of(latency).p99,
        slo=kept(
            Measurement(series={"latency": latency}, reasons={"": failed}),
            readable_slos(asked.slo),
        ),
        problems=tuple(files.problems),
        title=label.title,
        note=label.note,
    )


@lru_cache(maxsize=_REMEMBERED)
def _search(path: Path, versions: _Versions) -> SearchInfo:
    label = read_label(path)
    try:
        found = read_search(path)
    except UsageError as error:
        found = Found(
            target="",
            slo="",
            rate_per_s=None,
            confirmed=False,
            reason=str(error),
            ended_by=BROKEN,
            steps=(),
        )
    return SearchInfo(
        name=path.name,
        target=found.target,
        slo=found.slo,
        rate_per_s=found.rate_per_s,
        confirmed=found.confirmed,
        reason=found.reason,
        steps=len(found.steps),
        ended=_made(versions[0]),
        ended_by=found.ended_by,
        title=label.title,
        note=label.note,
    )


def _made(version: tuple[int, int] | None) -> str:
    if version is None:
        return ""
    try:
        return datetime.fromtimestamp(version[0] / 1e9, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):
        return ""  # a year beyond 9999
