"""One test, from a system and its samples to LoadGen's logs and what we know beside them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import mlperf_loadgen as lg

from tailrace import __version__
from tailrace.load.measure.point import Percentiles
from tailrace.mlperf import calibration, logs
from tailrace.mlperf.data import TestData
from tailrace.mlperf.ledger import Failures
from tailrace.mlperf.loadgen import LoadGen, last_step
from tailrace.mlperf.outcome import Ended, Outcome, faults, write_outcome
from tailrace.mlperf.progress import Course, Progress
from tailrace.mlperf.rules import rules_for
from tailrace.mlperf.samples import SampleLibrary
from tailrace.mlperf.scenario import MULTI_STREAM
from tailrace.mlperf.settings import Wishes, conf_text, loadgen_settings
from tailrace.mlperf.system import Payload, System
from tailrace.models.zoo.spec import ModelSpec

_TRIED_OUT = 32
"""Samples to measure the system with, before the test."""
_MEASURE_S = 1.0
_POLL_S = 0.1
_SHOW_S = 1.0
_LOGGED_S = 0.2
"""LoadGen's log writer wakes every 10 ms."""

Show = Callable[[Course, Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """What is tested, and where its files go."""

    __test__ = False  # not for pytest

    spec: ModelSpec
    wishes: Wishes
    system: System
    data: TestData
    library: SampleLibrary
    performance_samples: int
    at_once: int
    """Samples that keep the system busy."""
    payload: Payload
    targets: list[str]
    notes: list[str]
    folder: Path
    """Of LoadGen's logs; it is there when the test runs."""
    write_conf: Callable[[str], Path]
    """Writes the text of user.conf, and says where."""


class RunningTest:
    """A test that can begin; `stop` may be called from a signal handler.

    Raises:
        SampleFailedError: the system does not answer one sample.
        TailraceError: a sample cannot be read.
    """

    def __init__(self, test: Test, say: Callable[[str], None]) -> None:
        self.test = test
        self._say = say
        self._stopped = threading.Event()
        self._loadgen: LoadGen | None = None
        wishes, library = test.wishes, test.library
        first = range(min(_TRIED_OUT, library.total))
        library.load(first)
        samples = [library[index] for index in first]
        calibration.try_out(test.system, samples[0])
        self._estimate = None
        if wishes.needs_estimate:
            say("measuring the system, so that LoadGen makes enough queries ...")
            size = rules_for(test.spec, wishes.scenario).samples_per_query or 1
            found = calibration.measure(test.system, samples, test.at_once, size, _MEASURE_S)
            say(
                f"one query takes {found.query_s * 1e3:.3g} ms; "
                f"{found.samples_per_s:,.4g} samples/s at most"
            )
            self._estimate = found
        library.unload(first)

    @property
    def abandoned(self) -> bool:
        """Whether LoadGen's thread is left behind, so that only `os._exit` ends the process."""
        return self._loadgen is not None and not self._loadgen.finished.is_set()

    def stop(self) -> None:
        """Ends the test without a result."""
        self._stopped.set()

    def run(self, show: Show) -> Outcome:
        """Runs it to its end, tells `show` of its progress once a second, and writes down how it
        went. See `abandoned`.

        Raises:
            UsageError: LoadGen cannot use the settings.
            TailraceError: a file cannot be written.
        """
        test = self.test
        conf = test.write_conf(conf_text(test.spec, test.wishes, self._estimate))
        settings = loadgen_settings(test.spec, test.wishes, conf)
        course = _course(test, settings)
        loadgen = self._loadgen = LoadGen(
            test.system, test.library, test.performance_samples, _failures(test.wishes)
        )
        started = datetime.now(UTC)
        began_s = shown_s = time.monotonic()
        loadgen.start(settings, test.folder)
        while not (self._stopped.is_set() or loadgen.ledger.broken.is_set()):
            if loadgen.finished.wait(_POLL_S):
                break
            now_s = time.monotonic()
            if now_s - shown_s >= _SHOW_S:
                shown_s = now_s
                show(course, _progress(course, loadgen, test.folder))
        if self._stopped.is_set():
            # A signal handler that says it may find a line half written.
            self._say("stopping; the logs are being closed")
        elapsed_s = time.monotonic() - began_s
        ended: Ended = "finished"
        if not loadgen.finished.is_set():
            loadgen.ledger.close()
            ended = "failed" if loadgen.ledger.broken.is_set() else "interrupted"
        counts = loadgen.ledger.counts()
        outcome = Outcome(
            tailrace=__version__,
            model=test.spec.name,
            scenario=test.wishes.scenario.name,
            mode=test.wishes.mode,
            system=loadgen.name,
            targets=test.targets,
            dataset=test.data.name,
            payload=test.payload,
            started=started.isoformat(timespec="milliseconds"),
            ended=ended,
            elapsed_s=round(elapsed_s, 3),
            issued=counts.issued,
            completed=counts.completed,
            failed=counts.failed,
            failures=counts.failures,
            problems=loadgen.problems,
            notes=test.notes,
            latency_ms=Percentiles.of(counts.latency),
        )
        self._settle(outcome)
        return outcome

    def _settle(self, outcome: Outcome) -> None:
        folder = self.test.folder
        why = "; ".join(faults(outcome))
        if outcome.ended != "finished":
            time.sleep(_LOGGED_S)
            logs.close_logs(folder, why)
        if why:
            logs.add_error(folder, why)
        write_outcome(folder, outcome)


def _progress(course: Course, loadgen: LoadGen, folder: Path) -> Progress:
    counts = loadgen.ledger.counts()
    return Progress(
        counts=counts,
        left_s=course.left_s(counts),
        step=last_step(folder) if course.mode == "find-peak" else "",
    )


def _failures(wishes: Wishes) -> Failures:
    if wishes.mode == "accuracy":
        return Failures.EMPTY
    return Failures.NEVER if wishes.scenario.streams else Failures.LAST


def _course(test: Test, settings: lg.TestSettings) -> Course:
    scenario = test.wishes.scenario
    streams = settings.multi_stream_samples_per_query if scenario is MULTI_STREAM else 1
    return Course(
        scenario=scenario,
        mode=test.wishes.mode,
        min_duration_s=settings.min_duration_ms / 1000,
        min_queries=settings.min_query_count,
        rate_per_s=settings.server_target_qps,
        samples_per_query=streams,
        total_samples=test.library.total,
    )
