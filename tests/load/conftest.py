"""Runs of the real generator, in its own processes, inside a test."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tailrace.load.measure.point import Interval
from tailrace.load.session.plan import Plan
from tailrace.load.session.session import Session
from tests.kit.plans import make_plan

Offer = Callable[..., Awaitable[tuple[Session, list[Interval]]]]


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
