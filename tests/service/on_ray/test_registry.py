"""Counters of replicas that come, die, leave and change their rank."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import replace

import numpy as np

from tailrace.service.meter import Meter, new_sheet
from tailrace.service.on_ray.registry import SILENT_S, Row, Tally
from tailrace.service.stages import StageClock
from tailrace.service.usage import Usage
from tests.kit.clock import Clock

MODELS = ("shapes", "null")


class Replica:
    """What a replica counts."""

    def __init__(self, name: str, rank: int) -> None:
        self.name = name
        self.rank = rank
        self.meter = Meter(new_sheet(1, MODELS), 0, MODELS)

    def answer(self, model: str = "shapes") -> None:
        self.meter.observe(model, StageClock())

    def row(self, leaving: bool = False) -> Row:
        self.meter.set_ready(not leaving)
        self.meter.set_levels(waiting=3, running=1, began_ns=0)
        state = replace(self.meter.snapshot().workers[0], used=Usage(1.5, 2**20))
        return Row(self.rank, state, np.array(self.meter.sheet.counters(0), np.int64), leaving)


def test_rows_add_up() -> None:
    tally = Tally(MODELS)
    first, second = Replica("a", 0), Replica("b", 1)
    for _ in range(3):
        first.answer()
        tally.take("a", first.row())
    second.answer("null")
    second.meter.count("shapes", "queue_full")
    tally.take("b", second.row())
    snapshot = tally.snapshot()
    assert snapshot.models["shapes"].outcomes["ok"] == 3
    assert snapshot.models["shapes"].outcomes["queue_full"] == 1
    assert sum(snapshot.models["shapes"].total.counts) == 3
    assert [(each.name, each.answered) for each in snapshot.workers] == [("1", 3), ("2", 1)]
    assert [(each.ready, each.waiting, each.running) for each in snapshot.workers] == [
        (True, 3, 1)
    ] * 2
    assert snapshot.workers[0].used == Usage(1.5, 2**20)
    assert not snapshot.one_machine


def test_silence_is_death_and_the_next_of_its_rank_goes_on() -> None:
    clock = Clock(0.0)
    tally = Tally(MODELS, clock)
    first = Replica("a", 0)
    first.answer()
    tally.take("a", first.row())
    clock.now = SILENT_S + 0.1
    (worker,) = tally.snapshot().workers
    assert (worker.ready, worker.waiting, worker.answered, worker.restarts) == (False, 0, 1, 1)
    assert worker.used is None
    second = Replica("b", 0)
    second.answer()
    tally.take("b", second.row())
    (worker,) = tally.snapshot().workers
    assert (worker.ready, worker.answered, worker.restarts) == (True, 2, 1)


def test_leave_is_no_death() -> None:
    clock = Clock(0.0)
    tally = Tally(MODELS, clock)
    replica = Replica("a", 0)
    tally.take("a", replica.row())
    replica.answer()
    tally.take("a", replica.row(leaving=True))
    clock.now = SILENT_S + 0.1
    (worker,) = tally.snapshot().workers
    assert (worker.ready, worker.answered, worker.restarts) == (False, 1, 0)


def test_no_counter_ever_goes_backwards() -> None:
    draw = random.Random(7)
    clock = Clock(0.0)
    tally = Tally(MODELS, clock)
    replicas = [Replica("0", 0)]
    tally.take("0", replicas[0].row())
    born = 1
    seen: Counter[str] = Counter()
    told = 0
    for _ in range(2000):
        clock.now += draw.random()
        match draw.randrange(6):
            case 0 if len(replicas) < 4:
                replicas.append(Replica(str(born), len(replicas)))
                born += 1
            case 1 if len(replicas) > 1:
                # It dies, or leaves; those behind it move up.
                gone = replicas.pop(draw.randrange(len(replicas)))
                if draw.random() < 0.5:
                    tally.take(gone.name, gone.row(leaving=True))
                for rank, replica in enumerate(replicas):
                    replica.rank = rank
            case _:
                replica = draw.choice(replicas)
                replica.answer(draw.choice(MODELS))
                tally.take(replica.name, replica.row())
                told += 1
        snapshot = tally.snapshot()
        now = Counter({name: counts.outcomes["ok"] for name, counts in snapshot.models.items()})
        for worker in snapshot.workers:
            now[f"answered {worker.name}"] = worker.answered
            now[f"restarts {worker.name}"] = worker.restarts
        assert all(now[name] >= count for name, count in seen.items())
        assert now["shapes"] + now["null"] == told
        assert sum(worker.answered for worker in snapshot.workers) == told
        seen = now


def test_time_of_the_latest_answer_is_no_sum() -> None:
    tally = Tally(MODELS)
    began_ms = time.time() * 1000
    for name, rank in (("a", 0), ("b", 1), ("c", 0)):
        replica = Replica(name, rank)
        for _ in range(2):
            replica.answer()
            tally.take(name, replica.row())
    counts = tally.snapshot().models
    assert began_ms - 1 <= counts["shapes"].latest_ms <= time.time() * 1000
    assert counts["null"].latest_ms == 0
