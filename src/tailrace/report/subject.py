"""What a report is about: runs read from their directories, in whatever state these are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from tailrace.errors import UsageError
from tailrace.load.judge.answers import SloAnswer, slo_answers
from tailrace.load.judge.slo import Slo, readable_slos
from tailrace.load.judge.stretches import Stretches
from tailrace.load.measure.histogram import Histogram
from tailrace.load.session.result import Result, confidence_ms
from tailrace.machine.environment import Environment
from tailrace.runs.directory import RUNS_DIR
from tailrace.runs.files import Asked, RunFiles
from tailrace.runs.listing import RunInfo, RunRecord, locate_run, read_run
from tailrace.runs.run_result import so_far
from tailrace.units import number
from tailrace.view.markup import Markup, h

LABELS = "ABCDEFGH"
"""Of runs that are compared: there are colours for so many."""


@dataclass(frozen=True)
class Subject:
    """A run, and all that a report takes from its directory."""

    label: str
    """A letter among several runs; empty for one alone."""
    path: Path
    record: RunRecord
    asked: Asked | None
    """run.json; None where it cannot be read."""
    latency: Histogram
    """Of all intervals, from latency.hlog; empty where it cannot be read."""

    @property
    def info(self) -> RunInfo:
        """The run at a glance."""
        return self.record.info

    @property
    def name(self) -> str:
        """Label and name: one run among several is known by both."""
        return f"{self.label} {self.info.name}".strip()

    @property
    def look(self) -> str:
        """The class of what is drawn of it: each of several runs has its colour."""
        return f"run-{LABELS.index(self.label)}" if self.label else "alone"

    @property
    def chip(self) -> Markup | None:
        """Its label in its colour; None for one alone."""
        return h("b", self.label, class_=f"chip {self.look}") if self.label else None

    @property
    def started(self) -> str:
        """When, as a person reads it; what is no instant in UTC as it is."""
        text = self.info.started
        day, t, time = text.partition("T")
        return f"{day} {time[:8]} UTC" if t and text.endswith(("Z", "+00:00")) else text

    @cached_property
    def result(self) -> Result:
        """Its result; of a run without one, what its finished intervals amount to."""
        seed = self.asked.seed if self.asked is not None else 0
        return self.record.result or so_far(
            self.record, self.path, seed, self.latency, self.stretches
        )

    @cached_property
    def stretches(self) -> Stretches:
        """The same by interval, which tells how far its requests depend on each other."""
        return RunFiles(self.path).stretches()

    @cached_property
    def answers(self) -> list[SloAnswer]:
        """What it says of each SLO; of a run that did not say so itself, what its intervals
        decide."""
        decisions = self.info.decisions or RunFiles(self.path).decided(self.slos)
        return slo_answers(self.info.slo, decisions)

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end, and so has a result."""
        return self.record.result is not None

    def interval(self, name: str) -> str | None:
        """95 % confidence interval of a percentile, ms, as a person reads it: of runs of earlier
        versions, too, by how far their requests depend on each other."""
        found = confidence_ms(self.stretches).get(name)
        return f"{number(found[0])} – {number(found[1])}" if found else None

    @property
    def reasons(self) -> dict[str, int]:
        """Failures by reason, or by kind where the run knows no more."""
        return self.result.reasons or self.result.failed

    @property
    def failures(self) -> int:
        """How many requests failed."""
        return sum(self.reasons.values())

    @cached_property
    def slos(self) -> list[Slo]:
        """The bounds that were asked for, but for those that cannot be read."""
        return list(readable_slos(self.info.slo))

    @cached_property
    def environment(self) -> Environment | None:
        """Where the run was made; None where its run.json does not say."""
        try:
            return msgspec.convert(self.asked and self.asked.environment, Environment)
        except msgspec.ValidationError:
            return None


def read_subjects(paths: Sequence[Path]) -> list[Subject]:
    """The runs in the directories `paths`.

    Raises:
        UnknownRunError: one of them is not a run's directory.
        UsageError: there are more than LABELS.
    """
    if len(paths) > len(LABELS):
        raise UsageError(f"{len(paths)} runs are too many for one report: {len(LABELS)} at most")
    labels = LABELS if len(paths) > 1 else ("",)
    subjects = []
    for label, path in zip(labels, map(Path.resolve, paths), strict=False):
        record, files = read_run(path.parent, path.name), RunFiles(path)
        subjects.append(Subject(label, path, record, files.asked(), files.latency()))
    return subjects


def find_directory(text: str, base: Path = RUNS_DIR) -> Path:
    """The directory of a run or a search, given by its path, or by its name below `base`.

    Raises:
        UsageError: it is neither.
    """
    for path in (Path(text), base / text):
        if is_search(path):
            return path
    return locate_run(base, text)


def is_search(path: Path) -> bool:
    """Whether this is the directory of a search, by `tailrace find`."""
    return (path / "find.json").is_file()
