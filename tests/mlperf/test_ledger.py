"""What LoadGen is told, and when: above all of queries that fail."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest

from tailrace.mlperf.ledger import Failures, Ledger
from tailrace.mlperf.system import Record
from tests.kit.waiting import TIMEOUT_S

RECORD: Record = np.ones(7, np.float32)


class Told:
    """What LoadGen was told, in its order: (query, whether with an answer)."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bool]] = []

    def __call__(self, query_id: int, record: Record) -> None:
        self.answers.append((query_id, record.size > 0))


def test_answers_are_passed_on_and_counted() -> None:
    told = Told()
    ledger = Ledger(told, Failures.LAST)
    assert ledger.counts().running_s == 0
    ledger.issue([4, 5])
    ledger.complete(5, RECORD)
    counts = ledger.counts()
    assert 0 < counts.running_s < ledger.counts().running_s
    assert (counts.issued, counts.completed, counts.failed, counts.outstanding) == (2, 1, 0, 1)
    ledger.complete(4, RECORD)
    assert told.answers == [(5, True), (4, True)]
    assert ledger.counts().latency.total == 2
    assert not ledger.broken.is_set()


def test_a_failed_query_is_answered_last_of_all() -> None:
    """An answer made up at once would be the fastest."""
    told = Told()
    ledger = Ledger(told, Failures.LAST)
    ledger.issue([1, 2, 3])
    ledger.fail(1, "boom")
    ledger.complete(2, RECORD)
    assert told.answers == [(2, True)]
    ledger.flush()
    assert told.answers == [(2, True)]
    ledger.complete(3, RECORD)
    assert told.answers == [(2, True), (3, True), (1, False)]
    counts = ledger.counts()
    assert counts.failures == {"boom": 1}
    assert counts.latency.total == 2


def test_queries_that_all_failed_are_answered_at_the_flush() -> None:
    told = Told()
    ledger = Ledger(told, Failures.LAST)
    ledger.issue([1])
    ledger.fail(1, "boom")
    assert told.answers == []
    ledger.flush()
    assert told.answers == [(1, False)]


def test_a_new_step_of_a_search_holds_back_anew() -> None:
    told = Told()
    ledger = Ledger(told, Failures.LAST)
    for query in (1, 2):
        ledger.issue([query])
        ledger.fail(query, "boom")
        assert len(told.answers) == query - 1
        ledger.flush()
    assert told.answers == [(1, False), (2, False)]


def test_in_a_stream_a_failure_ends_the_test() -> None:
    told = Told()
    ledger = Ledger(told, Failures.NEVER)
    ledger.issue([1])
    ledger.fail(1, "boom")
    ledger.flush()
    assert told.answers == []
    assert ledger.broken.is_set()


def test_without_a_clock_a_failure_is_an_empty_answer() -> None:
    told = Told()
    ledger = Ledger(told, Failures.EMPTY)
    ledger.issue([1])
    ledger.fail(1, "boom")
    assert told.answers == [(1, False)]
    assert ledger.counts().failed == 1


def test_nothing_is_told_twice_or_after_the_end() -> None:
    told = Told()
    ledger = Ledger(told, Failures.EMPTY)
    ledger.issue([1, 2, 3])
    ledger.complete(1, RECORD)
    ledger.complete(1, RECORD)
    ledger.fail(1, "late")
    ledger.close()
    ledger.complete(2, RECORD)
    ledger.fail(3, "late")
    assert told.answers == [(1, True)]
    assert ledger.counts().failed == 0


def test_reasons_do_not_grow_without_bound() -> None:
    ledger = Ledger(Told(), Failures.EMPTY)
    ledger.issue(range(1000))
    for query in range(1000):
        ledger.fail(query, f"reason {query % 500}")
    failures = ledger.counts().failures
    assert sum(failures.values()) == 1000
    assert len(failures) == 21
    assert failures["other reasons"] == 960


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_threads(share: float) -> None:
    """However they come, each is told of once, and the failed after the others."""
    told = Told()
    ledger = Ledger(told, Failures.LAST)
    order = random.Random(1)
    queries = list(range(2000))
    failing = set(order.sample(queries, int(share * len(queries))))
    parts = [queries[part::4] for part in range(4)]

    def work(part: list[int]) -> None:
        for query in part:
            ledger.issue([query])
            if query in failing:
                ledger.fail(query, "boom")
            else:
                ledger.complete(query, RECORD)

    threads = [threading.Thread(target=work, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    ledger.flush()
    assert sorted(query for query, _ in told.answers) == queries
    assert [answered for _, answered in told.answers] == sorted(
        (query not in failing for query in queries), reverse=True
    )
