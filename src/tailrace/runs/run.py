"""A run from start to end: a load session whose results are written down as they come."""

import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec

from tailrace.load.client.traffic import weighted_url
from tailrace.load.measure.point import Interval
from tailrace.load.session.plan import Plan
from tailrace.load.session.result import Result, build_result
from tailrace.load.session.session import Session
from tailrace.runs.directory import RunDirectory
from tailrace.runs.sample_files import SampleSink


class Run:
    """One load execution and its directory of results, if there is to be one.

    Start it, read `intervals` to their end, then `result` is there and the directory complete.
    `probe` is asked at the end of each interval for what goes into its `Point.server`;
    `samples` takes the raw samples that it asks for.
    """

    def __init__(
        self,
        plan: Plan,
        directory: RunDirectory | None,
        probe: Callable[[], dict[str, float]] | None = None,
        samples: SampleSink | None = None,
    ) -> None:
        if samples is None:
            self.session = Session(plan)
        else:
            plan = replace(plan, samples_share=samples.share)
            self.session = Session(plan, sampled=samples.add)
        self.directory = directory
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
        broken = [kept.broken for kept in (self.directory, self.samples) if kept is not None]
        return [*self.session.problems, *filter(None, (*broken, self._fault))]

    @property
    def result(self) -> Result:
        """The result document; only once `intervals` has ended."""
        if self._result is None:
            raise RuntimeError("the run is not over yet")
        return self._result
