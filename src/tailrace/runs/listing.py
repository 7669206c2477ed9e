"""Runs read back from their directories, whatever state these are in.

A run that was killed, a disk that was full, a file that was edited: what can be read is shown.
Everything here may be called from any thread, and blocks for as long as the disk takes.
"""

import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec

from tailrace.errors import UsageError
from tailrace.load.histogram import Histogram
from tailrace.load.point import Percentiles, Point
from tailrace.load.result import Result
from tailrace.load.slo import parse_slo
from tailrace.load.verdict import Verdict
from tailrace.runs.histogram_log import merge_log
from tailrace.runs.record import RunInfo, RunRecord, UnknownRunError

FILES = ("run.json", "result.json", "timeline.jsonl", "latency.hlog")
"""All files of a run's directory."""

_TAIL = 1 << 16
"""Bytes at the end of a timeline, among which is its last line."""
_REMEMBERED = 4096

_T = TypeVar("_T")


class _Asked(msgspec.Struct, frozen=True):
    """What the listing takes from run.json."""

    started: str = ""
    target: str = ""
    arrivals: str = ""
    profile: str = ""
    slos: list[str] = []


class _Outcome(msgspec.Struct, frozen=True):
    """What it takes from result.json."""

    target: str
    arrivals: str
    duration_s: float
    completed: int
    failed: dict[str, int]
    latency_ms: Percentiles
    verdict: Verdict
    slo: dict[str, bool] = {}
    ended_by: str | None = None


class _Line(msgspec.Struct, frozen=True):
    """What it takes from a line of timeline.jsonl; the rest of it is skipped."""

    index: int
    t_s: float
    completed: int
    failed: dict[str, int]


def list_runs(base: Path) -> tuple[RunInfo, ...]:
    """The runs in the directories directly below `base`, newest first; none if it is not there.

    A directory without run.json is none of ours, or a search's, and is passed over.
    """
    found = [_read_info(Path(base, name)) for name in _names(base)]
    return tuple(sorted(found, key=lambda info: (info.started, info.name), reverse=True))


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
    return RunRecord(
        info=_read_info(path),
        points=tuple(_read_points(path / "timeline.jsonl")),
        result=_decode(_read(path / "result.json"), Result),
    )


def _read_points(path: Path) -> Iterator[Point]:
    for point in _decode_lines(_read(path), Point):
        parts = point.components_us.values()
        if all(len(sums) == len(point.latency_bins) for sums in parts):
            yield point
        else:  # a file that was edited: which bin a sum belongs to cannot be told
            yield msgspec.structs.replace(point, components_us={})


def _names(base: Path) -> set[str]:
    try:
        # Names that are no text cannot be told in JSON, nor be asked for.
        return {
            name
            for name in os.listdir(base)  # noqa: PTH208
            if name.isprintable() and os.path.isfile(f"{base}/{name}/run.json")  # noqa: PTH113
        }
    except OSError:
        return set()


def _read_info(path: Path) -> RunInfo:
    # Before anything else is read: a run gives its lock back after it has written its result.
    running = _is_held(path / "timeline.jsonl")
    info = _info(path, tuple(_version(path / name) for name in FILES))
    if running and info.state == "interrupted":
        return msgspec.structs.replace(info, state="running")
    return info


def _is_held(timeline: Path) -> bool:
    """Whether a process has this open for a run (see RunDirectory). The kernel lets go of its lock
    when it ends, however it ends.
    """
    try:
        with timeline.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _version(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=_REMEMBERED)
def _info(path: Path, versions: tuple[tuple[int, int] | None, ...]) -> RunInfo:
    """The run as its files say, `finished` or `interrupted`; worked out once a version of them."""
    asked = _decode(_read(path / "run.json"), _Asked) or _Asked()
    started = asked.started or _made(versions[0])
    outcome = _decode(_read(path / "result.json"), _Outcome)
    if outcome is not None:
        last = next(_decode_lines(_read_tail(path / "timeline.jsonl"), _Line, backwards=True), None)
        return RunInfo(
            name=path.name,
            target=outcome.target,
            arrivals=outcome.arrivals,
            profile=asked.profile,
            started=started,
            state="finished",
            duration_s=outcome.duration_s,
            ended_by=outcome.ended_by,
            intervals=last.index + 1 if last else 0,
            completed=outcome.completed,
            failed=sum(outcome.failed.values()),
            p99_ms=outcome.latency_ms.p99,
            verdict=outcome.verdict,
            slo=outcome.slo,
        )
    lines = list(_decode_lines(_read(path / "timeline.jsonl"), _Line))
    latency = merge_log(_read(path / "latency.hlog"))
    failed = sum(count for line in lines for count in line.failed.values())
    return RunInfo(
        name=path.name,
        target=asked.target,
        arrivals=asked.arrivals,
        profile=asked.profile,
        started=started,
        state="interrupted",
        duration_s=lines[-1].t_s if lines else 0.0,
        intervals=len(lines),
        completed=sum(line.completed for line in lines),
        failed=failed,
        p99_ms=latency.percentiles(1000).p99,
        slo=_kept(asked.slos, latency, failed),
    )


def _kept(slos: list[str], latency: Histogram, failed: int) -> dict[str, bool]:
    kept = {}
    for text in slos:
        try:
            kept[text] = parse_slo(text).holds(latency, failed)
        except UsageError:
            continue
    return kept


def _made(version: tuple[int, int] | None) -> str:
    if version is None:
        return ""
    return datetime.fromtimestamp(version[0] / 1e9, UTC).isoformat(timespec="milliseconds")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _read_tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            return file.read()
    except OSError:
        return b""


def _decode(data: bytes, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _decode_lines(data: bytes, kind: type[_T], *, backwards: bool = False) -> Iterator[_T]:
    decoder = msgspec.json.Decoder(kind)
    lines = data.splitlines()
    for line in reversed(lines) if backwards else lines:
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
