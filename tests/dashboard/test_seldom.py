"""What is logged on behalf of clients is said now and then."""

import logging

import pytest

from tailrace.dashboard.server import Seldom, said_seldom
from tests.kit.clock import Clock


def test_each_place_speaks_once_in_a_while_and_says_what_it_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, logger = Clock(), logging.getLogger("test.seldom")
    seldom = Seldom(60, clock)
    logger.addFilter(seldom)
    for number in range(200):
        clock.now += 0.5
        logger.warning("no %d", number)
    logger.warning("another place: \x1b[31m\n%s", "red")
    logger.removeFilter(seldom)
    assert [record.getMessage() for record in caplog.records] == [
        "no 0",
        "no 120 (119 more like it were not shown)",
        "another place: \\x1b[31m red",
    ]


def test_errors_of_different_kinds_are_different_places(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("test.seldom")
    seldom = Seldom(60, Clock())
    logger.addFilter(seldom)
    for _ in range(10):
        for wrong in ("x", "[1]"):
            try:
                int(wrong) if wrong == "x" else {}[wrong]
            except (ValueError, KeyError) as error:
                logger.error("failed", exc_info=error)
    logger.removeFilter(seldom)
    assert [record.exc_info[0] for record in caplog.records] == [ValueError, KeyError]  # type: ignore[index]


def test_afterwards_libraries_say_all_again(caplog: pytest.LogCaptureFixture) -> None:
    def say() -> int:
        caplog.clear()
        for _ in range(3):
            logging.getLogger("asyncio").error("x")
        return len(caplog.records)

    with said_seldom():
        assert say() == 1
    assert say() == 3
