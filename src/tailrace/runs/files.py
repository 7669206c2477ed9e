"""The files of a run's directory, read in whatever state they are: the one way to read any of them.

A run may come from another machine, or from somebody else: see `tailrace.untrusted`. Beyond that,
numbers are held to what a run can count, so that whoever draws or adds them up need not ask.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tailrace.load.config import LoadConfig, to_path
from tailrace.load.judge.dependence import SloDecision, decide
from tailrace.load.judge.slo import Slo, kept, readable_slos
from tailrace.load.judge.stretches import Stretches
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.measurement import MOST_COUNT, Measurement
from tailrace.load.measure.point import Point
from tailrace.runs.histogram_log import LoggedIntervals, merge_log, read_log, start_of
from tailrace.untrusted import UnreadableError, open_file, plain_json, read_json, read_lines

MOST_BYTES = {
    "run.json": 2**20,
    "result.json": 4 * 2**20,
    "timeline.jsonl": 2**30,
    "latency.hlog": 2**30,
}
"""Of each file of a run's directory; three days of intervals of a second fit."""
FILES = tuple(MOST_BYTES)

_TAIL = 1 << 16
"""Bytes at the end of a timeline, among which is its last line."""

_T = TypeVar("_T")


class Asked(
    LoadConfig,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=False,
    rename={"url": "target", "slo": "slos"},
):
    """run.json: what was asked for, but for what may be secret, and where; all that follows from
    the rest is said as well. One of another version may have more or less.
    """

    url: str = ""
    slo: tuple[str, ...] = ()
    tailrace: str = ""
    """Its version."""
    started: str = ""
    """ISO 8601, UTC."""
    requests: int = 0
    """Different ones."""
    expect: str = ""
    """Of an answer, in words."""
    samples: str = ""
    """The file of raw samples, as seen from the run's directory; empty where there is none."""
    environment: Any = None
    """An Environment."""


class RunFiles:
    """The files in one directory.

    What is missing is empty, or None; so is what cannot be read, and `problems` says why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        """A line for each file that is there and cannot be read, as far as they have been asked
        for."""

    def asked(self) -> Asked | None:
        """run.json."""
        return self._try(lambda: self._json("run.json", Asked), None)

    def result(self, kind: type[_T]) -> _T | None:
        """result.json as `kind`."""
        return self._try(lambda: self._json("result.json", kind), None)

    def points(self) -> Iterator[Point]:
        """The intervals, oldest first; a line that is damaged is passed over."""
        for point in self.lines(Point):
            if all(map(partial(_fits, len(point.latency_bins)), point.components_us.values())):
                yield point
            else:  # a file that was edited: which bin a sum belongs to cannot be told
                yield msgspec.structs.replace(point, components_us={})

    def judged(self) -> tuple[Point, ...]:
        """The intervals, with the SLOs that each kept: those of a run that was made before each was
        judged as it ended, too.
        """
        points = tuple(self.points())
        slos = readable_slos((self.asked() or Asked()).slo)
        if not slos or any(point.slo for point in points):
            return points
        latencies = self.intervals().histograms()
        return tuple(_judged(point, slos, latencies.get(start_of(point))) for point in points)

    def lines(self, kind: type[_T]) -> Iterator[_T]:
        """The lines of timeline.jsonl as `kind`; one that is damaged is passed over."""
        try:
            yield from _decoded(self._lines("timeline.jsonl"), kind)
        except UnreadableError as error:
            self._note(error)

    def last_line(self, kind: type[_T]) -> _T | None:
        """The last line of timeline.jsonl that is not damaged, as `kind`."""
        return self._try(lambda: next(_decoded(reversed(self._tail()), kind), None), None)

    def latency(self) -> Histogram:
        """Of all intervals together, from latency.hlog."""
        return self._try(lambda: merge_log(self._lines("latency.hlog")), Histogram())

    def intervals(self) -> LoggedIntervals:
        """The intervals of latency.hlog."""
        return self._try(lambda: read_log(self._lines("latency.hlog")), read_log(()))

    def decided(self, slos: Sequence[Slo]) -> dict[str, SloDecision]:
        """What the run's intervals decide of `slos`, whether it came to its end or not."""
        stretches = self.stretches() if slos else Stretches()
        return {slo.expression: decide(stretches, slo) for slo in slos if len(stretches)}

    def stretches(self) -> Stretches:
        """The intervals as what tells how far requests depend on each other."""
        latencies = self.intervals().histograms()
        stretches = Stretches()
        for point in self.points():
            measured = _measured(point, latencies.get(start_of(point), Histogram()))
            stretches.add(measured, point.interval_s, point.target_per_s)
        return stretches

    def look(self) -> None:
        """Note which files cannot be read, as far as that shows without reading them."""
        for name, most_bytes in MOST_BYTES.items():
            try:
                open_file(self.path / name, most_bytes).close()
            except FileNotFoundError:
                continue
            except UnreadableError as error:
                self._note(error)

    def _json(self, name: str, kind: type[_T]) -> _T | None:
        return read_json(self.path / name, kind, MOST_BYTES[name], to_path)

    def _lines(self, name: str) -> Iterator[bytes]:
        return read_lines(self.path / name, MOST_BYTES[name])

    def _tail(self) -> list[bytes]:
        name = "timeline.jsonl"
        try:
            with open_file(self.path / name, MOST_BYTES[name]) as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
                return file.read(_TAIL).splitlines()
        except OSError:
            return []

    def _try(self, read: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return read()
        except UnreadableError as error:
            self._note(error)
            return otherwise

    def _note(self, error: UnreadableError) -> None:
        if str(error) not in self.problems:
            self.problems.append(str(error))


def _decoded(lines: Iterator[bytes], kind: type[_T]) -> Iterator[_T]:
    decoder = msgspec.json.Decoder(kind)
    for line in lines:
        try:
            yield decoder.decode(plain_json(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue


def _judged(point: Point, slos: Sequence[Slo], latency: Histogram | None) -> Point:
    if latency is None or not (point.completed or point.failed):
        return point
    return msgspec.structs.replace(point, slo=kept(_measured(point, latency), slos))


def _measured(point: Point, latency: Histogram) -> Measurement:
    """What of an interval an SLO is about."""
    return Measurement(
        completed=point.completed,
        reasons=point.reasons or point.failed,
        series={"latency": latency},
    )


def _fits(bins: int, sums: tuple[int, ...]) -> bool:
    within = min(sums, default=0) >= -MOST_COUNT and max(sums, default=0) <= MOST_COUNT
    return len(sums) == bins and within
