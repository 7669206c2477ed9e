"""A run from start to end: a load session whose results are written down as they come."""

import asyncio
import traceback
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from tailrace.errors import UsageError
from tailrace.load.client.traffic import weighted_url
from tailrace.load.measure.point import Interval
from tailrace.load.measure.samples import ABSENT, SAMPLE, Rows
from tailrace.load.session.plan import Plan
from tailrace.load.session.result import Result, build_result
from tailrace.load.session.session import Session
from tailrace.load.worker.messages import SampleBatch
from tailrace.runs.directory import RunDirectory
from tailrace.runs.samples import ROW, RawSamples, SampleFile, file_kind, read_raw_samples

_MOST_REASONS = 10_000
_OTHER = "other reasons"
_MOST_WAITING = 2**28
"""Bytes of samples that wait for a disk: some 5 million."""


class Run:
    """One load execution and its directory of results, if `path` says where there is to be one.

    Start it, read `intervals` to their end, then `result` is there and the directory complete.
    `probe` is asked at the end of each interval for what goes into its `Point.server`;
    `samples` takes the raw samples that it asks for.
    """

    def __init__(
        self,
        plan: Plan,
        path: Path | None = None,
        probe: Callable[[], dict[str, float]] | None = None,
        samples: "SampleSink | None" = None,
    ) -> None:
        if samples is None:
            self.session = Session(plan)
        else:
            plan = replace(plan, samples_share=samples.share)
            self.session = Session(plan, sampled=samples.add)
        file = samples.path if samples is not None else None
        self.directory = RunDirectory(path, plan, file) if path is not None else None
        self.samples = samples
        self._probe = probe
        self._result: Result | None = None
        self._fault: str | None = None

    async def start(self) -> None:
        """Start the load; where that fails the directory is taken back.

        Raises:
            GeneratorError: the load workers cannot be started.
        """
        with ExitStack() as unless_started:
            if self.directory is not None:
                unless_started.callback(self.directory.discard)
            if self.samples is not None:
                urls = self.session.plan.config.urls
                self.samples.open([weighted_url(url)[1] for url in urls])
                unless_started.callback(self.samples.discard)
            await self.session.start()
            unless_started.pop_all()

    async def intervals(self) -> AsyncGenerator[Interval]:
        """Each interval as it ends, already written down, until the run is over."""
        try:
            if self.samples is not None:
                self.samples.about = self._about_samples()
            async for interval in self.session.intervals():
                told = self._told(interval)
                if self.directory is not None:
                    self.directory.append(told)
                if self.samples is not None:
                    await self.samples.write()
                yield told
            self._result = build_result(self.session, self.path)
            if self.directory is not None:
                self.directory.finish(self._result)
            if self.samples is not None:
                await self.samples.finish()
        finally:
            if self.directory is not None:
                self.directory.close()

    async def give_up(self, error: Exception) -> None:
        """End the load at once, as `error` keeps it from being followed; there is no result, and
        `problems` says why. Returns once no load worker is left.
        """
        *_, last = traceback.extract_tb(error.__traceback__) or [None]
        where = f" ({Path(last.filename).name}, line {last.lineno})" if last is not None else ""
        self._fault = (
            "the run was ended by a fault of Tailrace's own: "
            f"{type(error).__name__}: {error}{where}"
        )
        if self.directory is not None:
            self.directory.close()
        await self.session.give_up()

    def _about_samples(self) -> dict[str, str]:
        plan = self.session.plan
        return {
            "tailrace.start_unix_ns": f"{self.session.start_wall_time * 1e9:.0f}",
            "tailrace.clock": "ns since the start, by CLOCK_MONOTONIC of the worker's machine",
            "tailrace.share": f"{plan.samples_share:g}",
            "tailrace.seed": str(plan.config.seed),
        }

    def _told(self, interval: Interval) -> Interval:
        if self._probe is None:
            return interval
        return replace(
            interval, point=msgspec.structs.replace(interval.point, server=self._probe())
        )

    @property
    def path(self) -> str | None:
        """Of its directory."""
        return str(self.directory.path) if self.directory is not None else None

    @property
    def problems(self) -> list[str]:
        """What went wrong so far: workers that died, files that cannot be written, a fault that
        ended it.
        """
        return [*self.session.problems, *self._unwritten, *filter(None, (self._fault,))]

    @property
    def is_kept(self) -> bool:
        """Whether all that was to be written down could be."""
        return not self._unwritten

    @property
    def _unwritten(self) -> list[str]:
        broken = (kept.broken for kept in (self.directory, self.samples) if kept is not None)
        return [*filter(None, broken)]

    @property
    def result(self) -> Result:
        """The result document; only once `intervals` has ended."""
        if self._result is None:
            raise RuntimeError("the run is not over yet")
        return self._result


class SampleSink:
    """Takes a run's raw samples as they come, to the file `path` or, without one, into memory.

    Open it, add samples and write them each interval, and finish.

    Args:
        path: ends in `.parquet` or `.csv`; a file that is there is written anew.
        share: so many of all requests; None: all of them.

    Raises:
        UsageError: it does not, or what its format needs is not installed; there is no such share.
    """

    def __init__(self, path: Path | None, share: float | None = None) -> None:
        share = 1.0 if share is None else share
        if not 1e-9 <= share <= 1:
            raise UsageError(f"the share of samples must be from 1e-9 to 1, not {share:g}")
        self._kind = file_kind(path) if path is not None else None
        self.path = path
        self.share = share
        self.broken: str | None = None
        """Why writing stopped, once it has; the run itself goes on."""
        self.about: dict[str, str] = {}
        """What a Parquet file says of the run, as metadata; to be set before the first `write`."""
        self._file: SampleFile | None = None
        self._targets: Sequence[str] = ()
        self._failures: dict[str, int] = {}
        self._batches: list[tuple[int, SampleBatch]] = []
        self._waiting = 0
        """Bytes of them."""
        self._kept = [np.empty(0, ROW)]
        """All rows, where there is no file."""

    def open(self, targets: Sequence[str]) -> None:
        """Make the file, for samples of these URLs.

        Raises:
            UsageError: it cannot be written.
        """
        self._targets = targets
        if self.path is not None and self._kind is not None:
            try:
                self._file = self._kind(self.path)
            except OSError as error:
                raise UsageError(f"cannot write {self.path}: {error.strerror}") from None

    def add(self, worker: int, batch: SampleBatch) -> None:
        """Take what has come from a worker."""
        if self.broken is None:
            self._batches.append((worker, batch))
        self._waiting += batch.rows.nbytes
        if self._waiting > _MOST_WAITING:
            self._break("it takes too long")

    async def write(self) -> None:
        """Write down what has come. A disk that fails ends the writing, not the run."""
        batches, self._batches = self._batches, []
        self._waiting = 0
        if batches and self.broken is None:
            await asyncio.to_thread(self._write, batches)

    async def finish(self) -> None:
        """Write down what has come, and the end."""
        await self.write()
        if self._file is not None:
            try:
                await asyncio.to_thread(self._file.finish, self.about)
            except (OSError, ValueError) as error:
                self._break(error)

    def discard(self) -> None:
        """Take the file back: no run came of it."""
        if self._file is not None:
            self._file.discard()

    def read(self) -> RawSamples:
        """All samples, once it is finished."""
        if self.path is not None:
            return read_raw_samples(self.path)
        return self._samples(np.concatenate(self._kept))

    def _samples(self, rows: Rows) -> RawSamples:
        return RawSamples(rows, list(self._failures), self._targets)

    def _write(self, batches: list[tuple[int, SampleBatch]]) -> None:
        rows = np.concatenate([self._whole(worker, batch) for worker, batch in batches])
        if self._file is None:
            self._kept.append(rows)
            return
        try:
            self._file.write(self._samples(rows), self.about)
        except (OSError, ValueError) as error:
            self._break(error)

    def _whole(self, worker: int, batch: SampleBatch) -> Rows:
        """A batch's rows, with its worker and the run's own numbers of failures."""
        taken = np.frombuffer(batch.rows, SAMPLE)
        rows = np.empty(len(taken), ROW)
        for name in SAMPLE.names or ():
            rows[name] = taken[name]
        rows["worker"] = worker
        rows["failure"] = np.array([*map(self._number, batch.reasons), ABSENT])[taken["failure"]]
        return rows

    def _number(self, reason: str) -> int:
        if reason not in self._failures and len(self._failures) >= _MOST_REASONS:
            reason = _OTHER
        return self._failures.setdefault(reason, len(self._failures))

    def _break(self, error: Exception | str) -> None:
        why = (isinstance(error, OSError) and error.strerror) or error
        if self.broken is None:
            self.broken = f"cannot write raw samples to {self.path}: {why}"
            self._batches.clear()
