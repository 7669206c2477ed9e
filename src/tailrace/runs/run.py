"""A run from start to end: a load session whose results are written down as they come."""

import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec

from tailrace.load.measure.point import Interval
from tailrace.load.session.plan import Plan
from tailrace.load.session.result import Result, build_result
from tailrace.load.session.session import Session
from tailrace.load.session.workers import Launcher
from tailrace.runs.directory import RunDirectory


class Run:
    """One load execution and its directory of results.

    Start it, read `intervals` to their end, then `result` is there and the directory complete.
    `probe` is asked at the end of each interval for what goes into its `Point.server`; the load
    workers come from `launcher`, or are processes of this machine.
    """

    def __init__(
        self,
        plan: Plan,
        directory: RunDirectory,
        probe: Callable[[], dict[str, float]] | None = None,
        launcher: Launcher | None = None,
    ) -> None:
        self.session = Session(plan, launcher)
        self.directory = directory
        self._probe = probe
        self._result: Result | None = None
        self._fault: str | None = None

    async def start(self) -> None:
        """Start the load; where that fails the directory is taken back.

        Raises:
            GeneratorError: the load workers cannot be started.
        """
        with ExitStack() as unless_started:
            unless_started.callback(self.directory.discard)
            await self.session.start()
            unless_started.pop_all()

    async def intervals(self) -> AsyncGenerator[Interval]:
        """Each interval as it ends, already written down, until the run is over."""
        try:
            async for interval in self.session.intervals():
                told = self._told(interval)
                self.directory.append(told)
                yield told
            self._result = build_result(self.session, str(self.directory.path))
            self.directory.finish(self._result)
        finally:
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
        self.directory.close()
        await self.session.give_up()

    def _told(self, interval: Interval) -> Interval:
        if self._probe is None:
            return interval
        return replace(
            interval, point=msgspec.structs.replace(interval.point, server=self._probe())
        )

    @property
    def problems(self) -> list[str]:
        """What went wrong so far: workers that died, a directory that cannot be written, a fault
        that ended it.
        """
        return [*self.session.problems, *filter(None, (self.directory.broken, self._fault))]

    @property
    def result(self) -> Result:
        """The result document; only once `intervals` has ended."""
        if self._result is None:
            raise RuntimeError("the run is not over yet")
        return self._result
