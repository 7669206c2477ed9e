"""What a report is about: runs read from their directories, in whatever state these are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from tailrace.errors import UsageError
from tailrace.load.judge.slo import Slo, readable_slos
from tailrace.load.measure.failures import count_failure
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.point import Percentiles
from tailrace.load.session.result import confidence_ms
from tailrace.machine.environment import Environment
from tailrace.runs.directory import RUNS_DIR
from tailrace.runs.files import RunFiles
from tailrace.runs.listing import locate_run, read_run
from tailrace.runs.record import Asked, RunInfo, RunRecord

LABELS = "ABCDEFGH"
"""Of runs that are compared: there are colours for so many."""

Interval = tuple[float, float]


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

    @cached_property
    def latency_ms(self) -> Percentiles:
        """Of the whole run; without a result, of its finished intervals."""
        result = self.record.result
        return result.latency_ms if result is not None else Percentiles.of(self.latency)

    @cached_property
    def confidence_ms(self) -> dict[str, Interval | None]:
        """95 % confidence interval of each percentile, ms."""
        if self.record.result is not None:
            return self.record.result.confidence_ms
        return confidence_ms(self.latency)

    @property
    def reasons(self) -> dict[str, int]:
        """Failures by reason, or by kind where the run knows no more."""
        return self._failures[0]

    @property
    def examples(self) -> dict[str, str]:
        """Answers that were failures, by their reason."""
        return self._failures[1]

    @cached_property
    def _failures(self) -> tuple[dict[str, int], dict[str, str]]:
        result = self.record.result
        if result is not None:
            return result.reasons or result.failed, result.examples
        reasons: dict[str, int] = {}
        examples: dict[str, str] = {}
        for point in self.record.points:
            for reason, count in (point.reasons or point.failed).items():
                count_failure(reasons, reason, count)
            examples = {**point.examples, **examples}
        return reasons, examples

    @property
    def completed_per_s(self) -> float | None:
        """Mean rate of answers over the run."""
        result, info = self.record.result, self.info
        if result is not None:
            return result.rate.completed
        return info.completed / info.duration_s if info.duration_s > 0 else None

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
    return [
        _read_subject(label, path.resolve()) for label, path in zip(labels, paths, strict=False)
    ]


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


def _read_subject(label: str, path: Path) -> Subject:
    files = RunFiles(path)
    return Subject(
        label=label,
        path=path,
        record=read_run(path.parent, path.name),
        asked=files.asked(),
        latency=files.latency(),
    )
