"""A run that a program follows and steers while it goes on."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType

from tailrace.load.measure.point import Point
from tailrace.load.schedule.profile import parse_profile
from tailrace.load.session.plan import Plan
from tailrace.runs.run import Run, SampleSink
from tailrace.runs.run_result import RunResult
from tailrace.units import parse_rate_per_s

_NOT_BEGUN = "the run has not begun: use it in async with"


class LiveRun:
    """A run in progress, made by `tailrace.start`; it belongs to the event loop that enters it.

    Where the `async with` ends, so does the load: answers in flight are waited for, unless an error
    ended it.
    """

    def __init__(
        self, plan: Plan, out: Path | None, samples: SampleSink | None, show: bool
    ) -> None:
        self._plan = plan
        self._out = out
        self._samples = samples
        self._show = show
        self._begun: Run | None = None
        self._points: list[Point] = []
        self._news = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._result: RunResult | None = None

    def __repr__(self) -> str:
        if self._begun is None:
            return f"load on {self._plan.config.url} that has not begun: use it in async with"
        if self._result is not None:
            return repr(self._result)
        return f"load on {self._plan.config.url} for {max(self.elapsed_s, 0):.0f} s so far"

    async def __aenter__(self) -> "LiveRun":
        if self._begun is not None:
            raise RuntimeError("a run begins once: start another one")
        self._begun = Run(self._plan, self._out, samples=self._samples)
        await self._begun.start()
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        following = self._task
        if error is None:
            await self.stop()
        elif not following.done():
            self._run.session.abandon()
            await asyncio.wait([following])

    async def set_rate(self, rate: float | str) -> float:
        """Change the rate, requests a second; returns once it holds: when, in seconds since the
        run's start.

        Raises:
            UsageError: there is no such rate.
        """
        return await self._reached(self._run.session.set_rate(rate_per_s_of(rate)))

    async def set_profile(self, profile: str) -> float:
        """Follow another profile, as `100..1000/60s`; returns once it begins: when, in seconds
        since the run's start.

        Raises:
            UsageError: there is no such profile.
        """
        return await self._reached(self._run.session.follow(parse_profile(profile)))

    async def intervals(self) -> AsyncIterator[Point]:
        """Every interval of the run: those that are over, then each as it ends, to the last one."""
        seen = 0
        while True:
            while seen < len(self._points):
                seen += 1
                yield self._points[seen - 1]
            if self._task.done():
                await self._task
                return
            await self._news.wait()

    async def stop(self) -> RunResult:
        """Offer nothing more; returns when all is answered or timed out."""
        if not self._task.done():
            self._run.session.stop()
        return await self.wait()

    async def wait(self) -> RunResult:
        """Return when the run has come to its end."""
        await asyncio.shield(self._task)
        return self.result

    @property
    def result(self) -> RunResult:
        """What it came to, once it is over.

        Raises:
            RuntimeError: it is not.
        """
        if self._result is None:
            raise RuntimeError("the run is not over: stop it, or wait for its end")
        return self._result

    @property
    def rate(self) -> float:
        """The rate asked for, requests a second."""
        return self._run.session.rate_per_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run's start."""
        return self._run.session.elapsed_s

    @property
    def problems(self) -> list[str]:
        """What went wrong so far: workers that died, files that cannot be written."""
        return self._run.problems

    @property
    def _run(self) -> Run:
        if self._begun is None:
            raise RuntimeError(_NOT_BEGUN)
        return self._begun

    @property
    def _task(self) -> "asyncio.Task[None]":
        if self._following is None:
            raise RuntimeError(_NOT_BEGUN)
        return self._following

    async def _reached(self, t_s: float) -> float:
        await asyncio.sleep(max(t_s - self.elapsed_s, 0.0))
        return t_s

    async def _follow(self) -> None:
        try:
            async for interval in self._run.intervals():
                self._points.append(interval.point)
                if self._show:
                    print_line(interval.point)
                self._wake()
            read = self._samples.read if self._samples is not None else None
            self._result = RunResult.of(self._run.result, self._points, self.problems, read)
        except Exception as error:
            await self._run.give_up(error)
            raise
        finally:
            self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def rate_per_s_of(rate: float | str) -> float:
    """A rate as a number, or as text such as `12k/min`.

    Raises:
        UsageError: it is none.
    """
    return parse_rate_per_s(rate) if isinstance(rate, str) else rate


def print_line(line: object) -> None:
    """Print a line on stderr, at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
