"""The offset of a clock from round trips, and its drift."""

import asyncio
import time

import pytest

from tailrace.load.on_ray.node import ClockWatch, Reading, name_nodes, read_clock


@pytest.mark.parametrize("there_s", [0.0, 0.004])
@pytest.mark.parametrize("back_s", [0.0, 0.004])
async def test_the_true_offset_is_within_the_error(there_s: float, back_s: float) -> None:
    """However unequal the two ways are."""

    async def ask() -> int:
        await asyncio.sleep(there_s)
        clock_ns = time.monotonic_ns() + 5_000_000_000_000
        await asyncio.sleep(back_s)
        return clock_ns

    reading = await read_clock(ask, 5)
    assert abs(reading.offset_ns - 5_000_000_000_000) <= reading.error_ns
    assert reading.error_ns >= (there_s + back_s) / 2 * 1e9


async def test_the_shortest_round_trip_counts() -> None:
    delays_s = iter([0.05, 0.0, 0.05])

    async def ask() -> int:
        await asyncio.sleep(next(delays_s))
        return time.monotonic_ns()

    assert (await read_clock(ask, 3)).error_ns < 20_000_000


def test_drift_is_told_once_it_is_more_than_what_the_readings_leave_open() -> None:
    watch = ClockWatch(Reading(1000, 100))
    assert watch.error_ns == 100
    watch.add(Reading(1150, 60))
    assert watch.error_ns == 100
    watch.add(Reading(1500, 60))
    assert watch.error_ns == 100 + 500 - 60 - 100
    # Coming back does not undo that it was off.
    watch.add(Reading(1000, 60))
    assert watch.error_ns == 440


def test_a_reading_that_says_little_changes_nothing() -> None:
    watch = ClockWatch(Reading(0, 100))
    watch.add(Reading(90_000, 100_000))
    assert watch.error_ns == 100


def row(node_id: str, host: str) -> dict[str, str]:
    return {"NodeID": node_id, "NodeManagerHostname": host}


def test_nodes_of_one_host_are_told_apart_by_their_ids() -> None:
    rows = [row("aaaaaaaa", "x"), row("bbbbbbbb", "y"), row("cccccccc", "y")]
    assert name_nodes(rows) == {
        "aaaaaaaa": "x",
        "bbbbbbbb": "y-bbbbbb",
        "cccccccc": "y-cccccc",
    }
