"""A run as a program works with it: its result document, its timeline and its raw samples."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.errors import TailraceError
from tailrace.load.judge.answers import slo_answers, verdict_word
from tailrace.load.judge.slo import readable_slos
from tailrace.load.judge.stretches import Stretches
from tailrace.load.judge.verdict import Verdict
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.measurement import COUNTS, Measurement
from tailrace.load.measure.point import Percentiles, Point, close, per_s
from tailrace.load.session.result import Rates, Result, confidence_ms
from tailrace.runs.files import Asked, RunFiles
from tailrace.runs.listing import RunRecord, locate_run, read_run
from tailrace.runs.samples import RawSamples, read_raw_samples, require
from tailrace.units import format_duration, format_figure, format_latency

if TYPE_CHECKING:
    import pandas


class RunResult(Result, frozen=True, kw_only=True, dict=True):
    """A whole run: the result document's fields, and what else is known of it."""

    timeline: tuple[Point, ...]
    """Every interval that has ended, oldest first."""
    problems: tuple[str, ...] = ()
    """What went wrong: workers that died, files that could not be written, or read."""

    @classmethod
    def of(
        cls,
        result: Result,
        timeline: Iterable[Point],
        problems: Iterable[str],
        read_samples: Callable[[], RawSamples] | None = None,
    ) -> "RunResult":
        """A result with its run's timeline; `read_samples` returns its raw samples."""
        document = msgspec.structs.asdict(result)
        whole = cls(**document, timeline=tuple(timeline), problems=tuple(problems))
        whole.__dict__["_read_samples"] = read_samples
        return whole

    def __repr__(self) -> str:
        failed = sum(self.failed.values())
        slos = "".join(f", {answer.brief}" for answer in slo_answers(self.slo, self.decisions))
        p50, p99, highest = (self.latency_ms.get(name) for name in ("p50", "p99", "max"))
        return (
            f"{self.target}: {format_figure(self.rate.sent)}/s for "
            f"{format_duration(self.duration_s)}, {self.completed:,} answered, {failed:,} failed\n"
            f"p50 {format_latency(p50)}, p99 {format_latency(p99)}, max {format_latency(highest)}"
            f"{slos}, {verdict_word(self.verdict)}"
        )

    @property
    def start_wall_time(self) -> float | None:
        """When it began, Unix time in seconds, to align it with what else was recorded; None
        before an interval has ended.
        """
        return self.timeline[0].wall_time - self.timeline[0].t_s if self.timeline else None

    @cached_property
    def samples(self) -> RawSamples:
        """Its raw samples.

        Raises:
            TailraceError: none were asked for, or they cannot be read.
        """
        read: Callable[[], RawSamples] | None = self.__dict__.get("_read_samples")
        if read is None:
            raise TailraceError(
                "this result has no raw samples: give samples=True or a file to tailrace.run; "
                "tailrace.read_samples reads a file of them"
            )
        return read()

    def to_pandas(self) -> "pandas.DataFrame":
        """The timeline as a table, one row an interval, by `t_s`: what it counts and computes, with
        dots in the names of what is within another, as `latency_ms.p99`. `failed` are all
        failures; those of a kind are `failed.http_5xx`.

        Raises:
            UsageError: pandas is not installed.
        """
        table = require("pandas", "a table").DataFrame(
            {**dict(_flat(msgspec.to_builtins(point))), "failed": sum(point.failed.values())}
            for point in self.timeline
        )
        kinds = [name for name in table if name.startswith(("failed.", "reasons."))]
        table[kinds] = table[kinds].fillna(0).astype(int)
        return table.set_index("t_s") if len(table) else table


_APART = {"latency_bins", "components_us", "examples"}
"""What of an interval is a histogram of its own, or text."""


def _flat(values: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        match value:
            case dict() if name not in _APART:
                yield from _flat(value, f"{within}{name}.")
            case bool() | int() | float() | None:
                yield within + name, value


def read_run_result(path: Path) -> RunResult:
    """The run in the directory `path`; of one without a result, what its intervals amount to.

    Raises:
        UsageError: it is no run's directory.
    """
    path = locate_run(path.parent, str(path))
    whole = path.resolve()
    record = read_run(whole.parent, whole.name)
    files = RunFiles(whole)
    asked = files.asked() or Asked()
    result = record.result
    if result is None:
        decisions = files.decided(readable_slos(record.info.slo))
        intervals = so_far(record, path, asked.seed, files.latency(), files.stretches())
        result = msgspec.structs.replace(intervals, decisions=decisions)
    return RunResult.of(
        result,
        record.points,
        record.info.problems,
        partial(read_raw_samples, whole / asked.samples) if asked.samples else None,
    )


def so_far(
    record: RunRecord, path: Path, seed: int, latency: Histogram, stretches: Stretches
) -> Result:
    """What the finished intervals of a run without a result amount to; `latency` and `stretches`
    are theirs."""
    info, points = record.info, record.points
    counts = {
        name: one.merge([getattr(each, name) for each in (points[-1:] if one.level else points)])
        for name, one in COUNTS.items()
    }
    # Intervals of earlier versions know kinds alone.
    counts["reasons"] = COUNTS["reasons"].merge([each.reasons or each.failed for each in points])
    measured = Measurement(**counts, series={"latency": latency})
    amounts = measured.offered, measured.sent, measured.completed
    return close(
        Result,
        measured,
        target=info.target,
        arrivals=info.arrivals,
        seed=seed,
        duration_s=info.duration_s,
        rate=Rates(*(per_s(count, info.duration_s) for count in amounts)),
        confidence_ms=confidence_ms(stretches),
        service_ms=Percentiles(),
        send_lag_us={},
        stages_ms={},
        xray=None,
        verdict=Verdict(valid=False, reasons=["it has not come to its end"]),
        slo=info.slo,
        run=str(path),
        nodes=points[-1].nodes if points else {},
    )
