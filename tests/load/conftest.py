"""Runs of the real generator, in its own processes, inside a test."""

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from tailrace.load.measure.point import Interval
from tailrace.load.schedule.arrivals import Poisson
from tailrace.load.schedule.profile import constant
from tailrace.load.schedule.schedule import Schedule
from tailrace.load.session.plan import Plan
from tailrace.load.session.session import Session
from tailrace.load.session.workers import WorkerProcess
from tests.kit.plans import make_plan

Offer = Callable[..., Awaitable[tuple[Session, list[Interval]]]]


def pid_of(session: Session, number: int = 0) -> int:
    """The id of a load worker's process."""
    process = session._workers.all[number].channel
    assert isinstance(process, WorkerProcess)
    return process.pid


@pytest.fixture
def plan() -> Callable[..., Plan]:
    return make_plan


@pytest.fixture
def offer() -> Offer:
    """Offers load to a URL to the end: (the session, its intervals)."""

    async def run(url: str, **settings: Any) -> tuple[Session, list[Interval]]:
        session = Session(make_plan(url, **settings))
        await session.start()
        intervals = [interval async for interval in session.intervals()]
        total = session.total
        # What every run must satisfy: each arrival has come to exactly one end.
        if not session.problems:
            assert total.offered == total.completed + total.failures
        assert total.completed == total.latency.total == total.of("service").total
        assert sum(interval.point.completed for interval in intervals) == total.completed
        return session, intervals

    return run


def scheduled(rate: float, duration_s: float, seed: int = 1) -> np.ndarray:
    """The arrivals of a constant rate, Poisson, in s."""
    schedule = Schedule(Poisson(), constant(rate), seed)
    times = np.concatenate([schedule.next_piece() for _ in range(80)]) / 1e9
    return times[times < duration_s]
