"""How far a test is, and how long it will take: LoadGen itself says nothing until its end."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.load.measure.histogram import Histogram
from tailrace.mlperf.ledger import Counts
from tailrace.mlperf.outcome import Mode
from tailrace.mlperf.scenario import MULTI_STREAM, OFFLINE, SERVER, Scenario
from tailrace.units import format_clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is known beforehand of the course of a test."""

    scenario: Scenario
    mode: Mode
    min_duration_s: float
    min_queries: int
    rate_per_s: float
    """Server: of the arrivals."""
    samples_per_query: int
    total_samples: int
    """Of the data set, each of which is asked for once to measure accuracy."""

    def left_s(self, counts: Counts) -> float | None:
        """How much longer it will take, by what it took so far; None where that is not known.

        For the time until the last answer, those without one are taken at the pace so far.
        """
        ended, running_s = counts.completed + counts.failed, counts.running_s
        pace_s = running_s / ended if ended else None
        if self.mode == "find-peak":
            return None
        if self.mode == "accuracy" or self.scenario is OFFLINE:
            total = self.total_samples if self.mode == "accuracy" else counts.issued
            return None if pace_s is None else (total - ended) * pace_s
        if self.scenario is SERVER:
            offering_s = max(self.min_duration_s, self.min_queries / self.rate_per_s)
            left_s = offering_s - running_s
            if left_s > 0:
                return left_s
            return None if pace_s is None else counts.outstanding * pace_s
        if pace_s is None:
            return None
        least_s = self.min_queries * self.samples_per_query * pace_s
        return max(max(self.min_duration_s, least_s) - running_s, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a test is."""

    counts: Counts
    left_s: float | None
    step: str = ""
    """What LoadGen is trying, in its own words."""


def describe(course: Course, progress: Progress) -> list[str]:
    """The fields of a line for a person, the most important first."""
    counts = progress.counts
    if not counts.issued:
        return ["loading samples ..."]
    fields = [f"{counts.running_s:6.0f} s"]
    if progress.left_s is not None and not progress.step:
        fields.append(f"{format_clock(progress.left_s)} left")
    if counts.failed:
        fields.append(f"FAILED {counts.failed:,}")
    fields.append(f"{counts.completed / counts.running_s:,.0f}/s")
    if course.mode != "accuracy" and course.scenario is not OFFLINE:
        sample = " (a sample)" if course.scenario is MULTI_STREAM else ""
        fields.append(f"p99 so far {_p99(counts.latency)}{sample}")
    if progress.step:
        fields.append(progress.step)
    return [*fields, f"completed {counts.completed:,}", f"issued {counts.issued:,}"]


def _p99(latency: Histogram) -> str:
    if latency.total == 0:
        return "–"
    return f"{latency.percentile_us(99)[0] / 1000:,.2f} ms"
