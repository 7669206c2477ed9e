"""Several runs that send one schedule between them."""

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import UsageError
from tailrace.load.client.request import Body
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.part import WHOLE, Part, parse_part, parse_start
from tailrace.load.schedule.profile import Profile
from tailrace.load.schedule.schedule import Schedule
from tailrace.load.session.link import GeneratorError
from tailrace.load.session.session import Session


@given(workers=st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_every_arrival_is_of_one_worker_of_one_part(workers: list[int]) -> None:
    parts = len(workers)
    shares = [
        Part(index, parts).share(worker, count)
        for index, count in enumerate(workers)
        for worker in range(count)
    ]
    for arrival in range(200):
        assert sum(arrival % shares_ == share for share, shares_ in shares) == 1


def test_the_whole_is_as_without_parts() -> None:
    assert [WHOLE.share(worker, 3) for worker in range(3)] == [(0, 3), (1, 3), (2, 3)]


def test_parts_as_they_are_written() -> None:
    assert parse_part("0/8") == Part(0, 8)
    assert parse_part(str(Part(7, 8))) == Part(7, 8)
    for text in ("8/8", "1", "-1/2", "1/0", "a/b", "1/2/3", ""):
        with pytest.raises(UsageError, match="is no part"):
            parse_part(text)


def test_starts_as_they_are_written() -> None:
    soon = datetime.fromtimestamp(round(time.time()) + 3600, UTC)
    for zone in (UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-11))):
        assert parse_start(soon.astimezone(zone).isoformat()) == soon.timestamp()
    for text in ("2299-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"):
        with pytest.raises(UsageError, match="more than a year ahead"):
            parse_start(text)
    with pytest.raises(UsageError, match="s ago"):
        parse_start("2001-01-01T00:00:00Z")
    for text in ("", "12:00", "2999-01-01T00:00:00", "4000000000"):
        with pytest.raises(UsageError, match="is no time with its zone"):
            parse_start(text)


async def test_parts_send_the_one_schedule_together(serve: Any, plan: Any) -> None:
    server = serve()
    # Ahead of when the slowest of their workers is there.
    start_at = time.time() + 10.0
    common = {
        "profile": "300",
        "duration_s": 1.5,
        "arrivals": "gamma:2",
        "start_at": start_at,
        "bodies": [Body(b"{{counter}}", "text/plain")],
    }
    sessions = [
        Session(plan(server.url, part=Part(0, 2), workers=1, **common)),
        Session(plan(server.url, part=Part(1, 2), workers=2, **common)),
    ]
    await asyncio.gather(*(session.start() for session in sessions))
    points = [[i.point async for i in session.intervals()] for session in sessions]

    schedule = Schedule(parse_arrivals("gamma:2", 1, 1), Profile([0], [300]), 1)
    intended = np.concatenate([schedule.next_piece() for _ in range(10)]) / 1e9
    intended = intended[intended < 1.5]
    # Each of the schedule once, with its own number.
    assert sorted(map(int, server.bodies)) == list(range(len(intended)))
    assert {session.total.offered for session in sessions} == {
        len(intended[0::2]),
        len(intended[1::2]),
    }
    for session in sessions:
        assert session.start_wall_time == pytest.approx(start_at, abs=1e-3)
    assert all(point.target_per_s == 150 for part in points for point in part if point.t_s <= 1.5)
    arrived_s = np.array(server.arrived_ns) / 1e9 + time.time() - time.monotonic()
    late_s = np.sort(arrived_s) - start_at - intended
    assert late_s.min() > -1e-3


async def test_a_start_that_has_passed_is_no_start(serve: Any, plan: Any) -> None:
    session = Session(plan(serve().url, start_at=time.time() + 0.01))
    with pytest.raises(GeneratorError, match="the time to start had passed"):
        await session.start()
