"""Runs and searches read back from their directories, whatever state these are in.

A run that was killed, a disk that was full, a file that was edited: what can be read is shown.
Everything here may be called from any thread, and blocks for as long as the disk takes.
"""

import fcntl
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from tailrace.errors import TailraceError, UsageError
from tailrace.load.judge.dependence import SloDecision
from tailrace.load.judge.slo import kept, readable_slos
from tailrace.load.judge.verdict import MlperfAnswer, Verdict
from tailrace.load.measure.measurement import MOST_COUNT, Count, Measurement
from tailrace.load.measure.point import Percentiles, Point, Seconds
from tailrace.load.session.found import Found
from tailrace.load.session.result import Result
from tailrace.runs.directory import LABEL, read_label, read_search
from tailrace.runs.files import FILES, MOST_BYTES, Asked, RunFiles
from tailrace.units import format_latency
from tailrace.untrusted import UnreadableError, open_file

RunState = Literal["running", "finished", "interrupted", "broken"]

_REMEMBERED = 4096

_Versions = tuple[tuple[int, int] | None, ...]
_Text = Annotated[str, msgspec.Meta(max_length=2**18)]


class UnknownRunError(TailraceError):
    """There is no run of this name."""

    http_status = 404
    rpc_status = "NOT_FOUND"


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run at a glance."""

    def __repr__(self) -> str:
        return (
            f"{self.name}: {self.target}, {self.profile}, {self.state}, "
            f"{self.completed:,} answered, {self.failed:,} failed, "
            f"p99 {format_latency(self.p99_ms)}"
        )

    name: str
    """Of its directory."""
    target: str
    arrivals: str
    profile: str
    started: str
    """ISO 8601, UTC."""
    state: RunState
    """`interrupted`: whoever made it is gone and left no result; the finished intervals are kept.
    `broken`: a file of it cannot be read; what the others say is here.
    """
    duration_s: float
    """How long it offered load; of a run without a result, up to its last finished interval."""
    ended_by: str | None = None
    """As its result has it; None while there is none."""
    intervals: int
    completed: int
    failed: int
    p99_ms: float | None
    """Of all completed requests, from merged histograms."""
    verdict: Verdict | None = None
    """None while there is no result."""
    slo: dict[str, bool] = {}
    decisions: dict[str, SloDecision] = {}
    """As its result has them."""
    mlperf: MlperfAnswer | None = None
    problems: tuple[str, ...] = ()
    """Which of its files cannot be read, and why."""
    title: str = ""
    """What a person called it."""
    note: str = ""
    """What a person wrote about it."""


BROKEN = "broken"
"""What ended a search of which the outcome cannot be read."""


class SearchInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A search for the highest rate within an SLO, at a glance."""

    name: str
    """Of its directory."""
    target: str
    slo: str
    rate_per_s: float | None
    """The highest rate found; None if there is none."""
    confirmed: bool
    reason: str
    steps: int
    """Rates that were tried."""
    ended: str
    """ISO 8601, UTC."""
    ended_by: str | None = None
    """What cut it short, if anything did; or BROKEN."""
    title: str = ""
    note: str = ""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run whole."""

    info: RunInfo
    points: tuple[Point, ...]
    """Every finished interval, oldest first."""
    result: Result | None


class _Outcome(msgspec.Struct, frozen=True):
    """What a RunInfo takes from result.json; or from all that is there, where that is not."""

    target: _Text
    arrivals: _Text
    duration_s: Seconds
    completed: Count
    failed: dict[str, Count]
    latency_ms: Percentiles
    verdict: Verdict | None
    slo: dict[str, bool] = {}
    decisions: dict[str, SloDecision] = {}
    mlperf: MlperfAnswer | None = None
    ended_by: str | None = None


class _Line(msgspec.Struct, frozen=True):
    """What it takes from a line of timeline.jsonl."""

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
    # Only what the directory itself lists: no name, however it is written, leads out of it.
    if name not in _names(base, "run.json", "find.json"):
        raise UnknownRunError(f"no run or search {name!r} in {base}")
    return base / name


def is_running(path: Path) -> bool:
    """Whether the run in the directory `path` is in progress: its timeline is locked by a process.
    The kernel lets go of the lock when that ends, however it ends.
    """
    try:
        with open_file(path / "timeline.jsonl", MOST_BYTES["timeline.jsonl"]) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, UnreadableError):
        return False
    return False


def locate_run(base: Path, text: str) -> Path:
    """The directory of the run that a person called `text`: its path, or its name below `base`.

    Raises:
        UsageError: it is neither.
    """
    for path in (Path(text), base / text):
        if _is_run(path):
            return path
    raise UsageError(f"there is no run {text}: give a run's directory, or its name below {base}/")


def locate_runs(base: Path, texts: Iterable[str]) -> list[Path]:
    """The directories of the runs that a person called `texts`, each once: a run by its path or its
    name below `base`, or a directory of runs by its path or name, which stands for all of them.

    Raises:
        UsageError: one of them is neither.
    """
    found: dict[Path, Path] = {}
    for text in texts:
        places = Path(text), base / text
        many = [place / name for place in places for name in sorted(_names(place))]
        if not many or any(_is_run(place) for place in places):
            many = [locate_run(base, text)]
        for path in many:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def read_run(base: Path, name: str) -> RunRecord:
    """The run `name` below `base`, with every interval that it finished.

    Raises:
        UnknownRunError: there is none of that name.
    """
    if name not in _names(base):
        raise UnknownRunError(f"no run {name!r} in {base}")
    path = base / name
    files = RunFiles(path)
    # Of counts that no run has, nothing is to be drawn.
    result = files.result(Result) if files.result(_Outcome) is not None else None
    return RunRecord(info=_read_info(path), points=files.judged(), result=result)


def _is_run(path: Path) -> bool:
    whole = path.resolve()
    return whole.name in _names(whole.parent)


def _names(base: Path, *files: str) -> set[str]:
    """Of the directories that have one of the files; of runs unless told otherwise."""
    try:
        # Names that are no text cannot be told in JSON, nor be asked for.
        return {
            name
            for name in os.listdir(base)  # noqa: PTH208
            if name.isprintable()
            and any(os.path.lexists(f"{base}/{name}/{file}") for file in files or ("run.json",))
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


def _versions(path: Path, *names: str) -> _Versions:
    def version(name: str) -> tuple[int, int] | None:
        try:
            stat = (path / name).lstat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size

    return tuple(map(version, names))


@lru_cache(maxsize=_REMEMBERED)
def _info(path: Path, versions: _Versions) -> RunInfo:
    """The run as its files say, but whether it is in progress; worked out once a version of
    them.
    """
    files = RunFiles(path)
    files.look()
    asked = files.asked() or Asked()
    state: RunState = "finished"
    found = files.result(_Outcome)
    if found is not None:
        last = files.last_line(_Line)
        intervals = last.index + 1 if last else 0
    else:
        state = "interrupted"
        found, intervals = _so_far(files, asked)
    label = read_label(path)
    return RunInfo(
        name=path.name,
        target=found.target,
        arrivals=found.arrivals,
        profile=asked.profile or "",
        started=asked.started or _made(versions[0]),
        state="broken" if files.problems else state,
        duration_s=found.duration_s,
        ended_by=found.ended_by,
        intervals=intervals,
        completed=found.completed,
        failed=min(sum(found.failed.values()), MOST_COUNT),
        p99_ms=found.latency_ms.p99,
        verdict=found.verdict,
        slo=found.slo,
        decisions=found.decisions,
        mlperf=found.mlperf,
        problems=tuple(files.problems),
        title=label.title,
        note=label.note,
    )


def _so_far(files: RunFiles, asked: Asked) -> tuple[_Outcome, int]:
    """What a run without a result amounts to, and its intervals."""
    # Added up one by one: a timeline may be longer than the memory has room for.
    intervals = completed = failed = 0
    duration_s = 0.0
    for line in files.lines(_Line):
        intervals += 1
        completed += line.completed
        failed += sum(line.failed.values())
        duration_s = line.t_s
    latency = files.latency()
    measured = Measurement(series={"latency": latency}, reasons={"": failed})
    outcome = _Outcome(
        target=asked.url,
        arrivals=asked.arrivals,
        duration_s=duration_s,
        completed=min(completed, MOST_COUNT),
        failed={"": failed},
        latency_ms=Percentiles.of(latency),
        verdict=None,
        slo=kept(measured, readable_slos(asked.slo)),
    )
    return outcome, intervals


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
