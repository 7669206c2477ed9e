"""Tailrace in a program: what `tailrace.run`, `start`, `find`, `read_run` and `list_runs` are.

Settings are those of `tailrace load`, by the names of `LoadConfig`'s fields without their units,
as values or as texts: `rate=200`, `duration="30s"`, `timeout=2.5`, `slo="p99<100ms"`,
`slo=["p99<100ms", "max<1s"]`, `headers=["Name: value"]`, `profile="100..1000/60s"`, `body="x.jpg"`.
"""

import asyncio
import inspect
import threading
import warnings
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar, cast

from tailrace.load.config import DEFAULT_DURATION_S, LoadConfig
from tailrace.load.search.answer import FindLimits
from tailrace.load.session.finder import Finder
from tailrace.load.session.found import DEFAULT_SLO, Found, SearchProgress
from tailrace.load.session.plan import Plan, read_plan
from tailrace.load.settings import settings_of
from tailrace.runs import listing
from tailrace.runs.compare.compare import Comparison
from tailrace.runs.compare.compare import compare as compare_directories
from tailrace.runs.directory import RUNS_DIR, write_search
from tailrace.runs.listing import RunInfo, locate_runs
from tailrace.runs.live import LiveRun, print_line, rate_per_s_of
from tailrace.runs.run import SampleSink
from tailrace.runs.run_result import RunResult, read_run_result
from tailrace.runs.samples import RawSamples, read_raw_samples
from tailrace.units import parse_duration_s

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

Target = str | Sequence[str] | LoadConfig
"""A URL, several that share the requests (each may have a weight before it), or all settings."""
AnyPath = str | Path

_GONE = ("precision", "step", "longest", "warmup", "confirm")
"""What a search of separate steps was told."""


def _with_settings(function: F) -> F:
    """Its signature has every setting, for `help` and for completion."""
    own = dict(inspect.signature(function).parameters)
    own.popitem()
    defaults = {
        name.removesuffix("_s"): each.default for name, each in settings_of(LoadConfig).items()
    }
    for name, default in {"rate": None, **defaults}.items():
        if name != "url":
            keyword = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
            own.setdefault(name, keyword)
    cast(Any, function).__signature__ = inspect.signature(function).replace(
        parameters=list(own.values())
    )
    return function


@_with_settings
def run(
    target: Target,
    *,
    out: AnyPath | None = None,
    samples: AnyPath | bool | None = None,
    samples_share: float | None = None,
    progress: bool = False,
    **settings: Any,
) -> RunResult:
    """Put load on `target` until all is offered and answered.

        result = tailrace.run("http://127.0.0.1:5000/gpu", rate=200, duration="30s")
        result.latency_ms.p99

    It works in a script, in a notebook and in any thread: what it does goes on in a thread of its
    own. Ctrl-C ends the load at once and raises KeyboardInterrupt.

    Args:
        target: where to send requests. Without a duration it lasts 30 s, or as long as its trace.
        out: the run's directory, which must be empty or absent; without it nothing is written.
        samples: a `.parquet` or `.csv` file for each request's times; True keeps them in memory.
        samples_share: so many of all requests, as 0.01, not all of them.
        progress: print a line on stderr each interval.
        settings: see `tailrace.library`.

    Raises:
        UsageError: a setting cannot be used.
        GeneratorError: the load workers cannot be started.
    """
    plan = _plan(target, settings, duration_s=DEFAULT_DURATION_S)
    live = _live(plan, out, samples, samples_share, progress)

    async def to_the_end() -> RunResult:
        async with live:
            return await live.wait()

    return _in_a_thread(to_the_end)


@_with_settings
def start(
    target: Target,
    *,
    out: AnyPath | None = None,
    samples: AnyPath | bool | None = None,
    samples_share: float | None = None,
    progress: bool = False,
    **settings: Any,
) -> LiveRun:
    """Load to be followed and steered: it flows from the beginning of an `async with` to its end.

        async with tailrace.start("http://127.0.0.1:5000/gpu", rate=200) as run:
            async for interval in run.intervals():
                if interval.latency_ms.p99 > 100:
                    await run.set_rate(0.9 * run.rate)

    Arguments are those of `tailrace.run`, but without a duration load flows until it is stopped.

    Raises:
        UsageError: a setting cannot be used.
    """
    plan = _plan(target, settings, duration_s=None)
    return _live(plan, out, samples, samples_share, progress)


@_with_settings
def find(
    target: Target,
    *,
    slo: str | Sequence[str] = DEFAULT_SLO,
    duration: float | str = 60.0,
    start: float | str = 10.0,
    highest: float | str = 1e6,
    out: AnyPath | None = None,
    progress: bool | Callable[[SearchProgress], object] = False,
    **settings: Any,
) -> Found:
    """Find the highest rate at which `target` keeps its SLOs: `found.rate_per_s`.

        found = tailrace.find("http://127.0.0.1:5000/gpu", slo="p99<100ms")

    One run without a pause, its rate changed live. Like `run` it works anywhere; Ctrl-C ends it at
    once and raises KeyboardInterrupt.

    Args:
        slo: the bound to keep, or several: p99<100ms unless given.
        duration: the time to spend; with more of it the interval is narrower.
        start: the rate to begin with, and the `highest` to try, requests a second.
        out: the directory for find.json; without it nothing is written.
        progress: print a line on stderr after each stretch of load; or what is called with how far
            the search is, several times a second.
        settings: see `tailrace.library`.

    Raises:
        UsageError: a setting cannot be used.
        GeneratorError: the load workers cannot be started.
        ServiceGoneError: nothing but failures comes back.
    """
    if gone := [name for name in _GONE if settings.pop(name, None) is not None]:
        _warn(f"{', '.join(gone)} mean nothing any more: duration says how long it may take")
    if not isinstance(target, LoadConfig):
        settings = {**settings, "slo": slo}
    plan = _plan(target, settings)
    limits = FindLimits(
        start_per_s=rate_per_s_of(start),
        highest_per_s=rate_per_s_of(highest),
        for_s=_seconds(duration),
    )
    finder = Finder(plan, limits)

    def keep() -> None:
        if out is not None:
            write_search(Path(out), finder.found)

    async def search() -> Found:
        told = 0
        try:
            async for now in finder.progress():
                if callable(progress):
                    progress(now)
                if len(now.found.steps) > told:
                    told = len(now.found.steps)
                    if progress is True:
                        print_line(now.found.steps[-1])
                    keep()
        finally:
            keep()
        return finder.found

    return _in_a_thread(search, lambda: finder.cancel("SIGINT"))


def read_run(path: AnyPath) -> RunResult:
    """A run read back from its directory, whoever made it and whatever became of it: of one that
    goes on, or was killed, what it had written down by then.

    Raises:
        UsageError: it is not a run's directory.
    """
    return read_run_result(Path(path))


def read_samples(path: AnyPath) -> RawSamples:
    """Raw samples read back from a file; of a run that was killed, those that it had written down.

    Raises:
        TailraceError: they cannot be read.
    """
    return read_raw_samples(Path(path))


def compare(base: AnyPath | Sequence[AnyPath], other: AnyPath | Sequence[AnyPath]) -> Comparison:
    """How far the runs `other` are from `base`, figure by figure, each with a 95 % interval.

        found = tailrace.compare("runs/before", ["runs/after-1", "runs/after-2", "runs/after-3"])
        found.by_name["p99"].more_than_noise

    Args:
        base: a run's directory, several, or directories that hold several runs.
        other: the same.

    Raises:
        UsageError: there is no run in one of them.
    """
    sides = ([each] if isinstance(each, str | Path) else each for each in (base, other))
    return compare_directories(*(locate_runs(RUNS_DIR, map(str, side)) for side in sides))


def list_runs(directory: AnyPath = RUNS_DIR) -> list[RunInfo]:
    """The runs in the directories directly below `directory`, at a glance, newest first."""
    return list(listing.list_runs(Path(directory)))


def _plan(target: Target, settings: dict[str, Any], **defaults: Any) -> Plan:
    if isinstance(target, LoadConfig):
        if settings:
            raise TypeError("a LoadConfig has all settings: give no others beside it")
        config = target
    else:
        config = LoadConfig.of(target, **settings)
    plan = read_plan(config, note=_warn, **defaults)
    plan.check_start()
    if (beyond := plan.beyond_workers) is not None:
        _warn(beyond)
    return plan


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)


def _live(
    plan: Plan,
    out: AnyPath | None,
    samples: AnyPath | bool | None,
    samples_share: float | None,
    progress: bool,
) -> LiveRun:
    sink = None
    if samples or samples_share is not None:
        file = None if samples is None or isinstance(samples, bool) else Path(samples)
        sink = SampleSink(file, samples_share)
    return LiveRun(plan, Path(out) if out is not None else None, sink, progress)


def _seconds(time: float | str) -> float:
    return parse_duration_s(time) if isinstance(time, str) else time


def _in_a_thread(
    work: Callable[[], Coroutine[Any, Any, T]], interrupt: Callable[[], object] | None = None
) -> T:
    """What `work` returns, in an event loop of its own, whether or not one is running here; where
    this thread is interrupted, `interrupt` is called in that loop, or else the work cancelled.
    """
    outcome: Future[T] = Future()
    begun: Future[Callable[[], object]] = Future()

    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        end = interrupt or task.cancel
        begun.set_result(lambda: loop.call_soon_threadsafe(end))
        outcome.set_result(await work())

    def body() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001
            outcome.set_exception(error)

    thread = threading.Thread(target=body, name="tailrace", daemon=True)
    thread.start()
    try:
        return outcome.result()
    except BaseException:
        # Ctrl-C comes to the thread that waits.
        if not outcome.done():
            begun.result()()
            thread.join()
        raise
