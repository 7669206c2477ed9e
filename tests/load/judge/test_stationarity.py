from dataclasses import replace

import numpy as np
import pytest

from tailrace.load.judge.stationarity import stationary
from tests.kit.queues import KINDS, Kind, Queue, Requests, fifo, poisson, stretches_of

RUNS = 40


def said(queue: Queue, for_s: float) -> int:
    """How many of RUNS are called not stationary."""
    rng = np.random.default_rng(4)
    return sum(
        stationary(stretches_of(queue.draw(rng, for_s), for_s, queue.rate_per_s)) is not None
        for _ in range(RUNS)
    )


@pytest.mark.parametrize("load", [0.5, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_a_steady_service_is_one_thing_all_the_time(kind: Kind, load: float) -> None:
    assert said(Queue(kind, 200.0, load), 60.0) <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_slows_down_midway_is_not(kind: Kind) -> None:
    slowing = replace(Queue(kind, 200.0, 0.5), slower=1.5)
    assert said(slowing, 60.0) > 0.8 * RUNS


def test_a_backlog_that_grows_is_named() -> None:
    rng = np.random.default_rng(5)
    arrivals = poisson(rng, 200.0, 30.0)
    overloaded = Requests(arrivals, fifo(arrivals, np.full(len(arrivals), 1.2 / 200)))
    why = stationary(stretches_of(overloaded, 30.0, 200.0))
    assert why is not None
    assert "the backlog grew" in why


@pytest.mark.parametrize("for_s", [1.0, 8.0, 15.0])
def test_too_short_a_run_is_not_accused(for_s: float) -> None:
    slowing = replace(Queue("M/D/1", 200.0, 0.5), slower=1.5)
    requests = slowing.draw(np.random.default_rng(6), for_s)
    assert stationary(stretches_of(requests, for_s, 200.0)) is None
