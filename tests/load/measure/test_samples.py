"""Raw samples at a worker: of every way a request can end, one row."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy

from tailrace.load.measure.samples import ABSENT, SAMPLE, Rows, chosen
from tailrace.load.session.session import Session
from tailrace.load.worker.messages import SampleBatch
from tests.kit.plans import make_plan, scheduled

BODY = b"0123456789"


async def sampled(
    url: str | Sequence[str], share: float = 1.0, **settings: Any
) -> tuple[Session, Rows, list[str]]:
    """A run to its end: (its session, its samples, the reason of each, "" of a good one)."""
    batches: list[SampleBatch] = []
    session = Session(
        replace(make_plan(url, **settings), samples_share=share),
        sampled=lambda _, batch: batches.append(batch),
    )
    await session.start()
    async for _ in session.intervals():
        pass
    rows = [np.frombuffer(batch.rows, SAMPLE) for batch in batches]
    reasons = [
        [*batch.reasons, ""][number]
        for batch, part in zip(batches, rows, strict=True)
        for number in part["failure"]
    ]
    return session, np.concatenate([np.empty(0, SAMPLE), *rows]), reasons


async def sometimes(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    """Answers in two pieces; some are 503, others reset, one is not answered."""
    match number % 50:
        case 3:
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        case 7:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012")
            await writer.drain()
            writer.close()
        case 11:
            await asyncio.sleep(30)
        case _:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
            await asyncio.sleep(0.02)
            writer.write(BODY)


@pytest.mark.parametrize("checked", [False, True])
async def test_every_request_is_a_row_and_the_histograms_agree(serve: Any, checked: bool) -> None:
    expect = ["body contains 789"] if checked else []
    session, rows, reasons = await sampled(
        serve(sometimes).url, profile="300", timeout_s=0.5, expect_body=expect
    )
    total = session.total
    assert len(rows) == total.offered
    counts = {reason: reasons.count(reason) for reason in set(reasons)}
    assert counts.pop("") == total.completed
    assert counts == total.reasons
    assert {"http: 503", "timeout: no answer", "reset: within the answer"} == set(counts)
    good = rows[rows["failure"] == ABSENT]
    latencies = good["done_ns"] - good["intended_ns"]
    assert int(latencies.sum()) == total.latency.sum_ns
    assert int(latencies.max()) == total.latency.max_ns
    order = ("intended_ns", "sent_ns", "first_byte_ns", "done_ns")
    for before, after in pairwise(order):
        assert (good[before] <= good[after]).all()
    # Pieces came apart, and the first of them counts.
    assert (good["done_ns"] - good["first_byte_ns"]).max() > 15e6
    assert set(good["bytes"]) == {len(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n") + len(BODY)}
    assert set(good["status"]) == {200}
    for row, reason in zip(rows, reasons, strict=True):
        if reason == "reset: within the answer":
            assert row["bytes"] == good["bytes"][0] - len(BODY) + 3
        if reason == "http: 503":
            assert row["status"] == 503
            assert row["first_byte_ns"] > 0
        if reason == "timeout: no answer":
            assert row["status"] == row["bytes"] == 0
            assert row["first_byte_ns"] == ABSENT
            assert row["sent_ns"] > 0
            assert row["done_ns"] - row["intended_ns"] > 0.5e9


async def test_what_was_never_sent_is_a_row_without_a_time_of_sending() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        session, rows, reasons = await sampled(refused, profile="200")
    assert len(rows) == session.total.offered > 100
    assert set(reasons) == {"connect: refused"}
    assert (rows["sent_ns"] == ABSENT).all()
    assert (rows["done_ns"] >= rows["intended_ns"]).all()


async def test_times_and_the_choice_are_the_schedule_s_with_any_workers(serve: Any) -> None:
    """Intended times are those drawn beforehand, and a share is the same one of them."""
    url = serve().url
    seen = []
    for workers in (1, 3):
        session, rows, _ = await sampled(url, 0.2, profile="600", workers=workers)
        assert session.total.offered == len(scheduled(600, 1.0))
        seen.append(np.sort(rows["intended_ns"]))
    assert np.array_equal(*seen)
    assert set(seen[0]) < set(np.rint(scheduled(600, 1.0) * 1e9).astype(int))


async def test_each_row_names_its_url(serve: Any) -> None:
    servers = [serve(), serve()]
    urls = [f"3:{servers[0].url}", servers[1].url]
    _, rows, _ = await sampled(urls, profile="400")
    assert [int((rows["target"] == number).sum()) for number in (0, 1)] == [
        len(server.arrived_ns) for server in servers
    ]


async def test_no_samples_come_unasked(serve: Any) -> None:
    _, rows, _ = await sampled(serve().url, 0.0)
    assert len(rows) == 0


@pytest.mark.parametrize("share", [0.01, 0.3, 0.999])
def test_a_share_is_as_good_as_drawn(share: float) -> None:
    """Of regular arrivals: as many as of independent draws, and none depends on the one before."""
    count = 200_000
    times = np.arange(count, dtype=np.int64) * 5_000_000
    picked = chosen(times, share, seed=1)
    assert scipy.stats.binomtest(int(picked.sum()), count, share).pvalue > 1e-4
    both = int((picked[1:] & picked[:-1]).sum())
    assert scipy.stats.binomtest(both, count - 1, share**2).pvalue > 1e-4
    other = chosen(times, share, seed=2)
    assert scipy.stats.binomtest(int((picked & other).sum()), count, share**2).pvalue > 1e-4
