"""Plans of runs, made as a user would say them; runs, what they leave, and their processes."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailrace.load.client.request import Body
from tailrace.load.client.traffic import plan_traffic
from tailrace.load.config import LoadConfig
from tailrace.load.measure.point import Interval
from tailrace.load.schedule.arrivals import Poisson
from tailrace.load.schedule.profile import constant
from tailrace.load.schedule.schedule import Schedule
from tailrace.load.session.plan import Plan, read_plan
from tailrace.load.session.result import Result
from tailrace.load.session.session import Session
from tailrace.runs.run import Run
from tests.kit.waiting import until, wait_until


def make_plan(
    url: str | Sequence[str], profile: str = "100", bodies: Sequence[Body] = (), **settings: Any
) -> Plan:
    """A run of a second, unless told otherwise, with these bodies if there are any."""
    brief = {"duration_s": 1.0, "timeout_s": 5.0, "interval_s": 0.5}
    config = LoadConfig.of(url, profile=profile, **(brief | settings))
    plan = read_plan(config)
    if not bodies:
        return plan
    traffic = plan_traffic(config.urls, bodies=bodies, order=config.order)
    return replace(plan, traffic=traffic)


async def leave_run(
    path: Path, url: str, profile: str = "200", **settings: Any
) -> tuple[Result, list[Interval]]:
    """A run to its end, whose directory is then at `path`; its result and its intervals."""
    plan = make_plan(url, profile, **settings)
    run = Run(plan, path)
    await run.start()
    intervals = [interval async for interval in run.intervals()]
    return run.result, intervals


def scheduled(rate_per_s: float, duration_s: float, seed: int = 1) -> NDArray[np.float64]:
    """The arrivals of a constant rate, Poisson, in s."""
    schedule = Schedule(Poisson(), constant(rate_per_s), seed)
    times = np.concatenate([schedule.next_piece() for _ in range(80)]) / 1e9
    return times[times < duration_s]


async def reached(session: Session, at_s: float) -> None:
    """Return once a run is so old, however late it began."""
    await until(lambda: session.elapsed_s >= at_s)


def load_workers() -> list[int]:
    """Processes of the load workers that this process has started and that live, first first."""
    children: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        # A thread that has ended meanwhile has none.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children += map(int, (task / "children").read_text().split())
    name = b"\0-m\0tailrace.load.worker\0"
    return [pid for pid in sorted(children) if name in Path(f"/proc/{pid}/cmdline").read_bytes()]


def await_intervals(run: Path, count: int) -> None:
    """Return when so many intervals of a run in progress are written down in its directory."""
    file = run / "timeline.jsonl"
    wait_until(lambda: file.exists() and file.read_bytes().count(b"\n") >= count)
