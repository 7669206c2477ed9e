"""A load worker that is killed, and who takes its share over."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tailrace.load.client.request import Body
from tailrace.load.measure.point import Point
from tailrace.load.schedule.arrivals import Poisson
from tailrace.load.schedule.profile import constant
from tailrace.load.session.session import Session
from tailrace.load.worker.launcher import Channel, Gone, Heard, ProcessLauncher
from tailrace.load.worker.messages import Setup
from tests.kit.plans import load_workers, reached, scheduled
from tests.kit.waiting import TIMEOUT_S, until


async def until_replaced(session: Session) -> AsyncIterator[Point]:
    """The intervals until 3 s after a worker's share was taken over; then it is stopped."""
    end_s = 60.0
    async for interval in session.intervals():
        yield interval.point
        if len(session.problems) == 2:
            end_s = min(end_s, interval.point.t_s + 3)
        if interval.point.t_s > end_s:
            session.stop()


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_share_of_a_killed_worker_is_taken_over(
    serve: Any, plan: Any, workers: int
) -> None:
    """Each request says its number: what arrives is the schedule, but for one gap of one share; and
    each has the body whose turn it is.
    """
    server = serve()
    bodies = [Body(b"{{counter}} %d" % number, "text/plain") for number in range(50)]
    session = Session(
        plan(
            server.url,
            profile="200",
            duration_s=None,
            workers=workers,
            bodies=bodies,
            order="random",
        )
    )
    await session.start()
    await reached(session, 1.2)
    os.kill(load_workers()[0], signal.SIGKILL)
    points = [point async for point in until_replaced(session)]
    end_s = session.duration_s
    died, missing = session.problems
    assert died.startswith("load worker 0 died 1.")
    found = re.fullmatch(
        r"the share of load worker 0 is missing from (\S+) s to (\S+) s, when another took it over",
        missing,
    )
    assert found is not None
    from_s, to_s = map(float, found.groups())
    assert 0.5 <= from_s <= 1.2 < to_s
    units = next(Poisson().chunks(1))
    times = constant(200).inverse(units)
    mine = np.arange(len(times)) % workers == 0
    lost = mine & (times >= from_s) & (times < to_s)
    turns = next(session.plan.traffic.turns.chunks(session.plan.config.seed))
    numbered = [tuple(map(int, body.split())) for body in server.bodies]
    assert all(turn == turns[number] for number, turn in numbered if number < len(turns))
    sent = {number for number, _ in numbered}
    assert len(sent) == len(server.bodies)
    # What it sent after its last report arrived, and is not counted.
    due = np.flatnonzero((times < end_s) & ~(mine & (times >= 1.2 + 0.3) & (times < to_s + 0.01)))
    # The end of the gap is told to 10 ms.
    unsure = mine & (times >= from_s) & (times < to_s + 0.01)
    early = {int(n) for n in np.flatnonzero(unsure & (times < 1.2 + 0.3))}
    assert set(session.total.failed) <= {"aborted"}
    assert set(due.tolist()) - early <= sent <= set(np.flatnonzero(times < end_s + 1).tolist())
    # A busy machine sends some of what is due after the report that it is due before.
    assert session.total.offered == pytest.approx((times < end_s).sum() - lost.sum(), abs=40)
    assert session.total.completed + session.total.failures == session.total.offered
    assert sum(sum(point.failed.values()) for point in points) == session.total.failures
    assert [point.index for point in points] == list(range(len(points)))
    assert points[-1].t_s == pytest.approx(end_s, abs=0.3)
    events = [event for point in points for event in point.events]
    assert [event.text for event in events] == [
        "load worker 0 died",
        "load worker 0 was replaced",
        "stop",
    ]
    assert {event.kind for event in events[:2]} == {"worker"}
    assert events[1].t_s == pytest.approx(to_s, abs=0.01)
    assert not session.verdict.valid
    assert died in session.verdict.reasons
    # All whole intervals after it are whole again, where they were reported in time.
    for before, point in pairwise(points):
        late_s = max(before.tick_lag_ms, point.tick_lag_ms) / 1e3
        if point.t_s - point.interval_s > to_s + 0.1 and point.t_s < end_s:
            offered = ((times >= point.t_s - point.interval_s) & (times < point.t_s)).sum()
            # A share that is missing is at least half of them.
            assert point.offered == pytest.approx(offered, abs=25 + 200 * late_s)


async def test_a_change_made_while_a_share_is_taken_over_holds_for_it(
    serve: Any, plan: Any
) -> None:
    session = Session(
        plan(serve().url, profile="100", duration_s=None, arrivals="constant", workers=2)
    )
    await session.start()
    await reached(session, 0.7)
    os.kill(load_workers()[0], signal.SIGKILL)
    await until(lambda: session.problems)
    session.set_rate(400)
    assert len(session.problems) == 1
    points = [point async for point in until_replaced(session)]
    assert len(session.problems) == 2
    whole = [point for point in points[:-1] if point.t_s - point.interval_s > points[-1].t_s - 2]
    offered = sum(point.offered for point in whole)
    assert offered / sum(point.interval_s for point in whole) == pytest.approx(400, rel=0.1)


async def test_a_worker_killed_near_the_end_is_not_replaced(serve: Any, plan: Any) -> None:
    server = serve()
    session = Session(plan(server.url, profile="200", duration_s=1.0, workers=2))
    await session.start()
    await reached(session, 0.85)
    os.kill(load_workers()[0], signal.SIGKILL)
    async for _ in session.intervals():
        pass
    assert "load worker 0 died" in session.problems[0]
    assert re.search(r"is missing from 0\.\d+ s to the end", session.problems[1])
    full = len(scheduled(200, 1.0))
    assert 0.4 * full < session.total.completed < 0.9 * full


async def test_a_run_that_is_stopped_waits_for_no_take_over(serve: Any, plan: Any) -> None:
    session = Session(plan(serve().url, duration_s=60.0))
    await session.start()
    await reached(session, 0.8)
    os.kill(load_workers()[0], signal.SIGKILL)
    await until(lambda: session.problems)
    session.stop()
    points = [interval.point async for interval in session.intervals()]
    assert len(session.problems) == 2
    assert session.problems[1].endswith("to the end")
    assert session.total.completed > 0
    # Nobody reported the interval in which it died; what befell the run is told all the same.
    assert [event.kind for event in points[-1].events] == ["worker", "stop"]
    assert points[-1].completed == 0


class StoppedAtTheSecond(ProcessLauncher):
    """Its session is stopped as the second worker is to be started."""

    session: Session
    launched = 0

    async def launch(self, setup: Setup, heard: Heard, gone: Gone) -> Channel:
        self.launched += 1
        if self.launched == 2:
            self.session.stop()
        return await super().launch(setup, heard, gone)


async def test_a_take_over_that_is_stopped_as_it_begins(serve: Any, plan: Any) -> None:
    launcher = StoppedAtTheSecond()
    launcher.session = session = Session(plan(serve().url, duration_s=60.0), launcher)
    await session.start()
    await reached(session, 0.8)
    os.kill(load_workers()[0], signal.SIGKILL)
    async with asyncio.timeout(TIMEOUT_S):
        async for _ in session.intervals():
            pass
    assert len(session.problems) == 2
    assert session.problems[1].endswith("to the end")
