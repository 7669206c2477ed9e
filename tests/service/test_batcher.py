"""The bounded queue, its threads and its batches."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.models.model import Model
from tailrace.models.runtimes.null import NullRuntime
from tailrace.service.batcher import Batcher
from tailrace.service.errors import ClientGoneError, DeadlineError, NotReadyError, QueueFullError
from tailrace.service.stages import BATCH_WAIT, QUEUE, StageClock
from tailrace.service.work import Ticket
from tests.kit.models import null_model
from tests.kit.waiting import TIMEOUT_S, until

HOUR_NS = 3_600_000_000_000


class GatedRuntime:
    """The null model's, which notes what it is given, says so, and goes on when it is let."""

    platform, device = "gated", "cpu"
    inputs, outputs = NullRuntime().inputs, NullRuntime().outputs

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.seen: list[NDArray[Any]] = []
        """The input of each inference, in the order they began."""
        self.most = 0
        """Inferences that ran at the same time, at most."""
        self._now = 0
        self._changed = threading.Condition()

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        with self._changed:
            self.seen.append(inputs["input"])
            self._now += 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
        assert self.gate.wait(TIMEOUT_S)
        with self._changed:
            self._now -= 1
        return NullRuntime().run(inputs, outputs)

    def wait_for(self, inferences: int) -> None:
        """Waits, and the event loop with it, until so many have begun."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.seen) >= inferences, TIMEOUT_S)

    @property
    def rows(self) -> list[int]:
        """Size of each inference."""
        return [len(tensor) for tensor in self.seen]

    @property
    def first(self) -> list[int]:
        """First byte of each row of each inference."""
        return [int(row[0]) for tensor in self.seen for row in tensor]


class Echo:
    """Wants bytes back from a model that echoes."""

    outputs = ("output",)

    def __init__(self, model: Model, value: int, rows: int = 1, width: int = 1) -> None:
        self.model = model
        self.clock = StageClock()
        self.rows = rows
        self.kind = width
        self.bytes = (value.to_bytes(8, "little") * (rows * width))[: rows * width]

    def prepare(self) -> Mapping[str, NDArray[Any]]:
        return {"input": np.frombuffer(self.bytes, np.uint8).reshape(self.rows, self.kind)}

    def finish(self, tensors: Sequence[NDArray[Any]]) -> bytes:
        return tensors[0].tobytes()


Make = Callable[..., Batcher]


@pytest.fixture
def runtime() -> GatedRuntime:
    return GatedRuntime()


@pytest.fixture
def model(runtime: GatedRuntime) -> Model:
    return null_model(runtime=runtime)


@pytest.fixture
def make(runtime: GatedRuntime) -> Iterator[Make]:
    """Makes batchers that end with the test."""
    made: list[Batcher] = []

    def batcher(**settings: Any) -> Batcher:
        made.append(Batcher(**({"threads": 1, "queue": 100} | settings)))
        made[-1].start()
        return made[-1]

    yield batcher
    runtime.gate.set()
    assert all(batcher.close(TIMEOUT_S) for batcher in made)


async def answers(tickets: Sequence[Ticket[Any]]) -> list[Any]:
    """What each gives or raises."""
    waiting = asyncio.gather(*(ticket.answer for ticket in tickets), return_exceptions=True)
    return await asyncio.wait_for(waiting, TIMEOUT_S)


async def test_oldest_first_over_models_and_kinds(make: Make, runtime: GatedRuntime) -> None:
    batcher = make()
    models = [null_model(name, runtime) for name in "ab"]
    order = random.Random(1)
    tickets = [
        batcher.submit(Echo(order.choice(models), i, width=order.choice([1, 2, 3])))
        for i in range(60)
    ]
    runtime.gate.set()
    await answers(tickets)
    assert runtime.first == list(range(60))


async def test_as_many_at_once_as_there_are_threads_and_no_more(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    batcher = make(threads=3)
    tickets = [batcher.submit(Echo(model, i)) for i in range(12)]
    runtime.wait_for(3)
    assert batcher.waiting == 9
    runtime.gate.set()
    await answers(tickets)
    assert runtime.most == 3


async def test_full_queue_refuses_at_once_and_takes_again_later(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    # Two begin and three wait, however long the threads take to come for them.
    batcher = make(threads=2, queue=3)
    tickets = [batcher.submit(Echo(model, i)) for i in range(5)]
    for _ in range(2):
        with pytest.raises(QueueFullError):
            batcher.submit(Echo(model, 9))
        runtime.wait_for(2)
    assert batcher.waiting == 3
    batcher.withdraw(tickets[4], ClientGoneError(""))
    tickets.append(batcher.submit(Echo(model, 5)))
    with pytest.raises(QueueFullError):
        batcher.submit(Echo(model, 9))
    runtime.gate.set()
    await answers(tickets)
    assert batcher.waiting == 0
    assert await batcher.submit(Echo(model, 6)).answer == b"\6"
    assert sorted(runtime.first) == [0, 1, 2, 3, 5, 6]


async def test_a_batch_is_what_waits_up_to_the_limit(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    noted: list[tuple[Model, int]] = []
    batcher = make(max_batch=4, observe=lambda *inference: noted.append(inference))
    tickets = [batcher.submit(Echo(model, 0))]
    runtime.wait_for(1)
    tickets += [batcher.submit(Echo(model, i)) for i in range(1, 8)]
    runtime.gate.set()
    assert await answers(tickets) == [bytes([i]) for i in range(8)]
    assert runtime.rows == [1, 4, 3]
    assert noted == [(model, 1), (model, 4), (model, 3)]


def batches_of(waiting: Sequence[Echo], max_batch: int) -> list[list[Echo]]:
    """What one thread makes of a queue: the oldest, and what fits of the same in its order."""
    left, batches = list(waiting), []
    while left:
        batch = [left.pop(0)]
        for work in [w for w in left if (w.model, w.kind) == (batch[0].model, batch[0].kind)]:
            limit = min(max_batch, work.model.max_batch or max_batch)
            if sum(w.rows for w in batch) + work.rows > limit:
                break
            batch.append(work)
            left.remove(work)
        batches.append(batch)
    return batches


@settings(max_examples=100)
@given(
    max_batch=st.integers(1, 9),
    wanted=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 2), st.integers(1, 6)), min_size=1, max_size=40
    ),
)
def test_batches_are_those_of_a_simple_list(
    max_batch: int, wanted: list[tuple[int, int, int]]
) -> None:
    runtime = GatedRuntime()
    models = [null_model(which[0], runtime, *which[1:]) for which in (("a",), ("b",), ("c", 2))]
    works = [
        Echo(models[m], i, min(rows, models[m].max_batch or rows), width)
        for i, (m, width, rows) in enumerate(wanted, 1)
    ]

    async def run() -> list[Any]:
        batcher = Batcher(1, 100, max_batch)
        batcher.start()
        held = batcher.submit(Echo(models[0], 0))
        runtime.wait_for(1)
        tickets = [batcher.submit(work) for work in works]
        runtime.gate.set()
        found = await answers([held, *tickets])
        assert batcher.close(TIMEOUT_S)
        return found[1:]

    assert asyncio.run(run()) == [work.bytes for work in works]
    expected = [
        b"".join(w.bytes for w in batch)[begin : begin + most]
        for batch in batches_of(works, max_batch)
        for most in [min(max_batch, batch[0].model.max_batch or max_batch) * batch[0].kind]
        for begin in range(0, sum(len(w.bytes) for w in batch), most)
    ]
    assert [tensor.tobytes() for tensor in runtime.seen[1:]] == expected


async def test_more_rows_than_a_batch_may_have_go_in_turns(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    batcher = make(max_batch=4)
    works = [Echo(model, i, rows) for i, rows in enumerate([1, 6, 2, 2, 1])]
    tickets = [batcher.submit(works[0])]
    runtime.wait_for(1)
    tickets += [batcher.submit(work) for work in works[1:]]
    runtime.gate.set()
    assert await answers(tickets) == [work.bytes for work in works]
    assert runtime.rows == [1, 4, 2, 4, 1]


async def test_full_batch_does_not_wait_for_the_window(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    runtime.gate.set()
    batcher = make(threads=3, max_batch=3, window_ns=HOUR_NS)
    for _ in range(20):
        await answers([batcher.submit(Echo(model, i)) for i in range(6)])
    assert runtime.rows == [3] * 40
    # Nor is a batch full only when it has its last row: this one has no room for the next.
    works = [Echo(model, i, rows=2) for i in range(2)]
    tickets = [batcher.submit(work) for work in works]
    await answers(tickets[:1])
    assert runtime.rows[-1] == 2
    assert not tickets[1].answer.done()
    batcher.withdraw(tickets[1], ClientGoneError(""))


async def test_window_begins_with_the_first_arrival(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    runtime.gate.set()
    window_ns = 100_000_000
    batcher = make(threads=2, max_batch=1000, window_ns=window_ns, queue=1000)
    first = Echo(model, 0)
    tickets = [batcher.submit(first)]
    # Were the window to begin anew with each arrival, the first would not be answered meanwhile.
    for i in range(1, 500):
        await asyncio.sleep(0.01)
        if tickets[0].answer.done():
            break
        tickets.append(batcher.submit(Echo(model, i % 256)))
    assert tickets[0].answer.done()
    assert first.clock.spans_ns[QUEUE] + first.clock.spans_ns[BATCH_WAIT] >= window_ns
    assert first.clock.spans_ns[BATCH_WAIT] > first.clock.spans_ns[QUEUE]
    await answers(tickets)
    assert runtime.rows[0] > 1
    assert sum(runtime.rows) == len(tickets)


async def test_each_window_ends_though_one_thread_alone_watches(
    make: Make, runtime: GatedRuntime
) -> None:
    runtime.gate.set()
    batcher = make(threads=4, max_batch=8, window_ns=2_000_000)
    models = [null_model(name, runtime) for name in "abc"]
    order = random.Random(2)
    for _ in range(30):
        tickets = []
        for i in range(order.randrange(1, 12)):
            tickets.append(batcher.submit(Echo(order.choice(models), i)))
            await asyncio.sleep(order.choice([0, 0, 0.001]))
        await answers(tickets)
    assert batcher.waiting == 0


async def test_thread_that_watches_leaves_the_watch_to_another(make: Make) -> None:
    """Often, since which thread watches and which comes back first is not for a test to say."""
    batcher = make(threads=2, max_batch=2, window_ns=20_000_000)
    for _ in range(20):
        first, second, third = (GatedRuntime() for _ in range(3))
        tickets = [batcher.submit(Echo(null_model("a", first), i)) for i in range(2)]
        first.wait_for(1)
        # The one thread that is left watches over this one's window; then the other comes back.
        third.gate.set()
        alone = batcher.submit(Echo(null_model("c", third), 9))
        first.gate.set()
        await answers(tickets)
        # One of the two is kept by these; that must not be the end of the window.
        tickets = [batcher.submit(Echo(null_model("b", second), i)) for i in range(2)]
        second.wait_for(1)
        assert await answers([alone]) == [b"\x09"]
        second.gate.set()
        await answers(tickets)


@pytest.mark.parametrize(("max_batch", "file_takes"), [(1, -1), (8, 1)])
async def test_nothing_waits_where_a_batch_is_one(
    make: Make, runtime: GatedRuntime, max_batch: int, file_takes: int
) -> None:
    runtime.gate.set()
    model = null_model(runtime=runtime, max_batch=file_takes)
    batcher = make(threads=2, max_batch=max_batch, window_ns=HOUR_NS)
    works = [Echo(model, i) for i in range(50)]
    await answers([batcher.submit(work) for work in works])
    assert runtime.rows == [1] * 50


async def test_wait_is_the_queues_until_a_thread_is_free_and_then_the_windows(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    levels: list[tuple[int, int]] = []
    batcher = make(max_batch=3, window_ns=HOUR_NS, levels=lambda *level: levels.append(level[:2]))
    tickets = [batcher.submit(Echo(model, i)) for i in range(3)]
    runtime.wait_for(1)
    first = Echo(model, 3)
    tickets.append(batcher.submit(first))
    await asyncio.sleep(0.05)
    runtime.gate.set()
    await until(lambda: levels[-1] == (1, 0))
    await asyncio.sleep(0.03)
    last = Echo(model, 5)
    tickets += [batcher.submit(Echo(model, 4)), batcher.submit(last)]
    await answers(tickets)
    assert first.clock.spans_ns[QUEUE] >= 50_000_000
    assert first.clock.spans_ns[BATCH_WAIT] >= 30_000_000
    assert last.clock.spans_ns[QUEUE] == 0


async def test_the_oldest_inference_is_told_and_what_ends_is_forgotten(make: Make) -> None:
    slow, quick = GatedRuntime(), GatedRuntime()
    quick.gate.set()
    began_ns: list[int] = []
    batcher = make(threads=2, levels=lambda *level: began_ns.append(level[2]))
    before_ns = time.monotonic_ns()
    stuck = batcher.submit(Echo(null_model("a", slow), 1))
    slow.wait_for(1)
    oldest_ns = began_ns[-1]
    assert before_ns <= oldest_ns <= time.monotonic_ns()
    for turn in range(5):
        await answers([batcher.submit(Echo(null_model("b", quick), turn))])
        assert began_ns[-1] == oldest_ns
    slow.gate.set()
    await answers([stuck])
    await until(lambda: not began_ns[-1])


async def test_nothing_counts_as_queue_while_any_thread_is_free(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    levels: list[tuple[int, int]] = []
    settings_ = {"max_batch": 2, "window_ns": HOUR_NS}
    batcher = make(threads=2, levels=lambda *level: levels.append(level[:2]), **settings_)
    tickets = [batcher.submit(Echo(model, i, width=2)) for i in range(2)]
    runtime.wait_for(1)
    first = Echo(model, 2)
    tickets.append(batcher.submit(first))
    # The other thread comes back; this one was free all the time.
    runtime.gate.set()
    await until(lambda: levels[-1] == (1, 0))
    tickets.append(batcher.submit(Echo(model, 3)))
    await answers(tickets)
    assert first.clock.spans_ns[QUEUE] == 0


async def test_stages_add_up_and_a_request_alone_waits_for_no_batch(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    runtime.gate.set()
    for max_batch, window_ns in ((1, 0), (8, 0), (8, 1_000_000)):
        batcher = make(threads=2, max_batch=max_batch, window_ns=window_ns)
        works = [Echo(model, i) for i in range(40)]
        await answers([batcher.submit(work) for work in works])
        for work in works:
            assert sum(work.clock.spans_ns) == work.clock.total_ns
            assert (work.clock.spans_ns[BATCH_WAIT] == 0) == (max_batch == 1)


async def test_deadline_answers_when_it_passes_not_when_the_turn_comes(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    for settings_ in ({}, {"max_batch": 4, "window_ns": HOUR_NS}):
        batcher = make(**settings_)
        begun = len(runtime.seen)
        if not settings_:
            batcher.submit(Echo(model, 0))
            runtime.wait_for(begun + 1)
        late = batcher.submit(Echo(model, 1), time.monotonic_ns() + 5_000_000)
        (error,) = await answers([late])
        assert isinstance(error, DeadlineError)
        assert not runtime.gate.is_set()
        assert batcher.waiting == 0
    runtime.gate.set()
    assert 1 not in runtime.first


async def test_deadline_that_is_over_or_far(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    batcher = make()
    with pytest.raises(DeadlineError):
        batcher.submit(Echo(model, 1), time.monotonic_ns())
    assert batcher.waiting == 0
    runtime.gate.set()
    far = batcher.submit(Echo(model, 2), time.monotonic_ns() + HOUR_NS)
    assert await far.answer == b"\2"
    assert runtime.first == [2]


async def test_thread_finds_what_is_overdue_itself(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    batcher = make(max_batch=2)
    held = batcher.submit(Echo(model, 0))
    runtime.wait_for(1)
    late = batcher.submit(Echo(model, 1), time.monotonic_ns() + 1_000_000)
    batcher.submit(Echo(model, 2))
    # The event loop, and with it the timer, stands still here.
    while not late.overdue(time.monotonic_ns()):
        pass
    runtime.gate.set()
    runtime.wait_for(2)
    assert runtime.first == [0, 2]
    assert [type(answer) for answer in await answers([held, late])] == [bytes, DeadlineError]


async def test_withdrawn_work_is_skipped_and_frees_its_place(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    batcher = make(queue=1)
    tickets = [batcher.submit(Echo(model, i)) for i in range(2)]
    runtime.wait_for(1)
    for _ in range(2):
        batcher.withdraw(tickets[1], ClientGoneError("gone"))
    with pytest.raises(ClientGoneError):
        await tickets[1].answer
    tickets.append(batcher.submit(Echo(model, 2)))
    # What has begun is not withdrawn.
    batcher.withdraw(tickets[0], ClientGoneError("gone"))
    runtime.gate.set()
    assert (await answers(tickets))[::2] == [b"\0", b"\2"]
    assert runtime.first == [0, 2]


async def test_withdrawn_work_does_not_fill_a_batch(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    runtime.gate.set()
    batcher = make(threads=2, max_batch=3, window_ns=HOUR_NS)
    tickets = [batcher.submit(Echo(model, i)) for i in range(2)]
    batcher.withdraw(tickets[0], ClientGoneError("gone"))
    tickets += [batcher.submit(Echo(model, 2)), batcher.submit(Echo(model, 3))]
    assert (await answers(tickets))[1:] == [b"\1", b"\2", b"\3"]
    assert runtime.first == [1, 2, 3]


async def test_close_answers_what_waits_and_lets_what_has_begun_end(
    make: Make, runtime: GatedRuntime, model: Model
) -> None:
    batcher = make()
    tickets = [batcher.submit(Echo(model, i)) for i in range(3)]
    runtime.wait_for(1)
    assert not batcher.close(0.01)
    with pytest.raises(NotReadyError):
        batcher.submit(Echo(model, 3))
    assert [type(answer) for answer in await answers(tickets[1:])] == [NotReadyError] * 2
    runtime.gate.set()
    assert batcher.close(TIMEOUT_S)
    assert await tickets[0].answer == b"\0"
    assert runtime.first == [0]


async def test_what_is_put_at_one_time_is_one_batch(
    make: Make, model: Model, runtime: GatedRuntime
) -> None:
    """However many threads are free, and with nobody's window to wait for."""
    batcher = make(threads=2, max_batch=8, queue=6)
    put = [Ticket(Echo(model, i), None) for i in range(8)]
    with pytest.raises(QueueFullError):
        batcher.put([*put, Ticket(Echo(model, 8), None)])
    assert batcher.waiting == 0
    # From a thread that has no event loop.
    await asyncio.to_thread(batcher.put, put)
    runtime.gate.set()
    assert await answers(put) == [bytes([i]) for i in range(8)]
    assert runtime.rows == [8]


async def test_close_ends_threads_that_wait_for_a_window(make: Make, model: Model) -> None:
    batcher = make(threads=3, max_batch=4, window_ns=HOUR_NS)
    ticket = batcher.submit(Echo(model, 0))
    assert batcher.close(TIMEOUT_S)
    with pytest.raises(NotReadyError):
        await ticket.answer


def test_machine_that_gives_too_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    start, before = threading.Thread.start, threading.active_count()

    def start_three(thread: threading.Thread) -> None:
        if threading.active_count() >= before + 3:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_three)
    with pytest.raises(UsageError, match=r"--concurrency 9: .* 3 threads"):
        Batcher(9, 1).start()
    for thread in threading.enumerate():
        if thread.name.startswith("inference-"):
            thread.join(TIMEOUT_S)
    assert threading.active_count() == before


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**32),
    threads=st.integers(1, 6),
    queue=st.sampled_from([5, 400]),
    max_batch=st.integers(1, 9),
    window_ns=st.sampled_from([0, 50_000, 1_000_000]),
)
def test_every_answer_is_its_own_requests(
    seed: int, threads: int, queue: int, max_batch: int, window_ns: int
) -> None:
    order = random.Random(seed)
    runtime = GatedRuntime()
    runtime.gate.set()
    models = [null_model("a", runtime), null_model("b", runtime), null_model("c", runtime, 4)]
    numbers = itertools.count(1)
    levels: list[tuple[int, int]] = []
    noted: list[int] = []
    inferred: list[Echo] = []

    async def client(batcher: Batcher) -> None:
        for _ in range(12):
            rows = order.randint(1, 4)
            work = Echo(order.choice(models), next(numbers), rows, order.choice([8, 12, 16]))
            deadline_ns = time.monotonic_ns() + order.choice([1, 10**5, 10**7, HOUR_NS])
            try:
                ticket = batcher.submit(work, order.choice([None, None, deadline_ns]))
                if order.random() < 0.1:
                    await asyncio.sleep(order.choice([0, 0.001]))
                    batcher.withdraw(ticket, ClientGoneError("gone"))
                answer = await asyncio.wait_for(ticket.answer, TIMEOUT_S)
            except (QueueFullError, DeadlineError, ClientGoneError):
                await asyncio.sleep(0)
                continue
            assert answer == work.bytes
            assert sum(work.clock.spans_ns) == work.clock.total_ns
            inferred.append(work)
            await asyncio.sleep(order.choice([0, 0, 0.0005]))

    async def run() -> None:
        batcher = Batcher(
            *(threads, queue, max_batch, window_ns),
            observe=lambda _, rows: noted.append(rows),
            levels=lambda *level: levels.append(level[:2]),
        )
        batcher.start()
        await asyncio.gather(*(client(batcher) for _ in range(24)))
        assert batcher.close(TIMEOUT_S)

    asyncio.run(run())
    # Each was inferred once, and nothing else was.
    seen = b"".join(sorted(row.tobytes() for tensor in runtime.seen for row in tensor))
    width_of_each = [w.bytes[i * w.kind :][: w.kind] for w in inferred for i in range(w.rows)]
    assert seen == b"".join(sorted(width_of_each))
    assert sorted(noted) == sorted(runtime.rows)
    assert max(runtime.rows, default=0) <= max(max_batch, 4)
    assert runtime.most <= threads
    assert levels[-1] == (0, 0)
    assert all(0 <= waiting <= queue + threads for waiting, _ in levels)
    assert all(0 <= running <= threads * max(max_batch, 4) for _, running in levels)


@pytest.mark.slow("real models, and hundreds of pictures")
async def test_answers_over_http_are_their_own_pictures(
    launch: Callable[..., Any], shapes_server: Any, draw: Callable[..., bytes]
) -> None:
    pictures = [draw(1_000_100 + i) for i in range(16)]
    arguments = ("--concurrency", "2", "--max-batch", "4", "--batch-window", "200ms")
    server = launch("shapes", "--port", "0", *arguments).start()
    limits = httpx.Limits(max_connections=16)
    async with httpx.AsyncClient(limits=limits, timeout=TIMEOUT_S) as client:

        async def found(url: str, picture: bytes) -> list[tuple[int, NDArray[np.float64]]]:
            answer = await client.post(f"{url}/predict/shapes?threshold=0.2", content=picture)
            rows = answer.json()["detections"]
            return [(row["class_id"], np.array([*row["box"], 300 * row["score"]])) for row in rows]

        alone = [await found(shapes_server.url, picture) for picture in pictures]
        order = random.Random(3)
        asked = [order.randrange(len(pictures)) for _ in range(400)]
        answers = await asyncio.gather(*(found(server.url, pictures[number]) for number in asked))
    same = [[_alike(a, b) for b in alone] for a in alone]
    assert same == np.eye(len(pictures)).astype(bool).tolist(), "the pictures differ"
    for number, answer in zip(asked, answers, strict=True):
        assert _alike(answer, alone[number])
    scrape = server.scrape_until(lambda scrape: scrape.outcomes("shapes") == {"ok": 400})
    assert scrape("tailrace_batch_size_sum", model="shapes") == 400
    # The most of them went in batches, none of more than four.
    assert scrape("tailrace_batch_size_count", model="shapes") < 200
    assert scrape("tailrace_batch_size_bucket", model="shapes", le="4.0") == scrape(
        "tailrace_batch_size_count", model="shapes"
    )


def _alike(
    one: Sequence[tuple[int, NDArray[np.float64]]], other: Sequence[tuple[int, NDArray[np.float64]]]
) -> bool:
    # In a batch the sums are in another order, so the last digits may differ.
    return len(one) == len(other) and all(
        a[0] == b[0] and np.abs(a[1] - b[1]).max() < 0.1 for a, b in zip(one, other, strict=True)
    )
