"""What Prometheus reads."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pynvml
import pytest

from tailrace import __version__
from tailrace.models import zoo
from tailrace.models.model import Model
from tailrace.models.runtimes.null import NullRuntime
from tailrace.service.config import ServiceConfig
from tailrace.service.meter import BATCH_BOUNDS, DURATION_BOUNDS_S, OUTCOMES, Meter, new_sheet
from tailrace.service.metrics import Metrics
from tailrace.service.sheet import PID, RESTARTS
from tailrace.service.stages import INFER, QUEUE, STAGES, StageClock
from tests.kit.waiting import TIMEOUT_S

MODELS = ("shapes", "null")
Read = Callable[[str], Any]


def _two_workers() -> tuple[Metrics, list[Meter]]:
    sheet = new_sheet(2, MODELS)
    meters = [Meter(sheet, worker, MODELS) for worker in range(2)]
    return Metrics(ServiceConfig(models=MODELS, workers=2), meters[0]), meters


def _clock(queue_ns: int, infer_ns: int) -> StageClock:
    clock = StageClock()
    clock.end_at(QUEUE, clock.began_ns + queue_ns)
    clock.end_at(INFER, clock.began_ns + queue_ns + infer_ns)
    return clock


def _buckets(scrape: Any, name: str, **labels: str) -> dict[str, float]:
    return {
        sample.labels["le"]: sample.value
        for sample in scrape.families[name].samples
        if sample.name == f"{name}_bucket" and labels.items() <= sample.labels.items()
    }


def test_counts_and_histograms_of_all_workers(read_metrics: Read) -> None:
    metrics, meters = _two_workers()
    meters[0].observe("shapes", _clock(1_000_000, 2_000_000))
    meters[1].observe("shapes", _clock(40_000, 60_000_000_000))
    meters[1].count("shapes", "queue_full")
    meters[1].count("null", "deadline")
    null = Model(zoo.find("null"), zoo.find("null").formats[0], NullRuntime())
    for rows in (1, 4, 3, 1000):
        meters[1].observe_batch(null, rows)
    scrape = read_metrics(metrics.render().decode())
    assert scrape.outcomes("shapes") == {"ok": 2, "queue_full": 1}
    assert scrape.outcomes("null") == {"deadline": 1}
    every = {s.labels["outcome"] for s in scrape.families["tailrace_requests"].samples}
    assert every == set(OUTCOMES)

    total = "tailrace_request_duration_seconds"
    buckets = _buckets(scrape, total, model="shapes")
    by_bound = {float(bound): count for bound, count in buckets.items()}
    assert list(by_bound) == [*DURATION_BOUNDS_S, float("inf")]
    assert [by_bound[bound] for bound in (0.0025, 0.005, 30.0, float("inf"))] == [0, 1, 1, 2]
    assert scrape(f"{total}_count", model="shapes") == 2
    assert scrape(f"{total}_sum", model="shapes") == pytest.approx(60.00304)

    stage = "tailrace_stage_duration_seconds"
    assert scrape(f"{stage}_sum", model="shapes", stage="queue") == pytest.approx(0.00104)
    assert scrape(f"{stage}_sum", model="shapes", stage="infer") == pytest.approx(60.002)
    assert _buckets(scrape, stage, model="shapes", stage="queue")["5e-05"] == 1
    assert {s.labels["stage"] for s in scrape.families[stage].samples} == set(STAGES)

    sizes = {float(k): v for k, v in _buckets(scrape, "tailrace_batch_size", model="null").items()}
    assert list(sizes) == [*BATCH_BOUNDS, float("inf")]
    assert [sizes[bound] for bound in (1, 2, 4, 128, float("inf"))] == [1, 1, 3, 3, 4]
    assert scrape("tailrace_batch_size_sum", model="null") == 1008


def test_histograms_are_whole(read_metrics: Read) -> None:
    metrics, meters = _two_workers()
    for i in range(200):
        meters[i % 2].observe(MODELS[i % 2], _clock(i**3, i**4))
    scrape = read_metrics(metrics.render().decode())
    for family in scrape.families.values():
        if family.type != "histogram":
            continue
        for sample in family.samples:
            if sample.name == f"{family.name}_count":
                buckets = list(_buckets(scrape, family.name, **sample.labels).values())
                assert buckets == sorted(buckets)
                assert buckets[-1] == sample.value
    for model in MODELS:
        parts = [
            scrape("tailrace_stage_duration_seconds_sum", model=model, stage=stage)
            for stage in STAGES
        ]
        whole = scrape("tailrace_request_duration_seconds_sum", model=model)
        assert sum(parts) == pytest.approx(whole, rel=1e-9)


def test_each_worker_and_its_process(read_metrics: Read) -> None:
    metrics, meters = _two_workers()
    head = meters[0].sheet.head(0)
    head[PID], head[RESTARTS] = os.getpid(), 3
    meters[0].set_levels(7, 2, 0)
    meters[0].set_ready(True)
    meters[1].observe("null", _clock(1, 1))
    scrape = read_metrics(metrics.render().decode())
    for name, first, second in (
        ("tailrace_worker_ready", 1, 0),
        ("tailrace_queue_depth", 7, 0),
        ("tailrace_requests_in_flight", 2, 0),
        ("tailrace_worker_requests_total", 0, 1),
        ("tailrace_worker_restarts_total", 3, 0),
    ):
        assert [scrape(name, worker=worker) for worker in "12"] == [first, second]
    used_s = scrape("process_cpu_seconds_total", worker="1")
    assert used_s == pytest.approx(time.process_time(), abs=1)
    assert 2**24 < scrape("process_resident_memory_bytes", worker="1") < 2**36
    # The second has no process at the moment.
    assert len(scrape.families["process_cpu_seconds"].samples) == 1


def test_service_tells_what_it_is(read_metrics: Read) -> None:
    metrics, _ = _two_workers()
    scrape = read_metrics(metrics.render().decode())
    labels = {"version": __version__, "models": "shapes,null", "runtime": "onnx", "device": "cpu"}
    assert scrape("tailrace_info", **labels) == 1


def test_page_does_not_grow_with_what_is_counted(read_metrics: Read) -> None:
    metrics, meters = _two_workers()
    before = len(metrics.render().splitlines())
    for i in range(500):
        meters[0].observe("null", _clock(i**3, i**4))
    assert len(metrics.render().splitlines()) == before


def test_no_gpu_no_metrics_of_one(read_metrics: Read) -> None:
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        pynvml.nvmlShutdown()
        pytest.skip("there is a GPU")
    metrics, _ = _two_workers()
    scrape = read_metrics(metrics.render().decode())
    assert not [name for name in scrape.families if "gpu" in name]


def test_gpu_where_there_is_one(read_metrics: Read) -> None:
    try:
        pynvml.nvmlInit()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        pytest.skip("there is no NVIDIA GPU")
    metrics, _ = _two_workers()
    scrape = read_metrics(metrics.render().decode())
    (total, *_) = scrape.families["tailrace_gpu_memory_total_bytes"].samples
    used = scrape("tailrace_gpu_memory_used_bytes", **total.labels)
    assert 0 <= used <= total.value
    assert 0 <= scrape("tailrace_gpu_utilization_ratio", **total.labels) <= 1


def test_any_worker_answers_for_all(launch: Callable[..., Any], read_metrics: Read) -> None:
    server = launch("null", "--port", "0", "--workers", "2").start()
    with contextlib.ExitStack() as stack:
        # Connections are dealt in turn: two of these are one worker's, two the other's.
        clients = [
            stack.enter_context(httpx.Client(base_url=server.url, timeout=TIMEOUT_S))
            for _ in range(4)
        ]
        for number, client in enumerate(clients, 1):
            for _ in range(number):
                assert client.get("/gpu").text == "ok"
                assert client.post("/predict/null", content=b"").status_code == 200
            assert client.post("/predict/null?threshold=7").status_code == 400
            assert client.post("/predict/nope").status_code == 404
        pages = [client.get("/metrics") for client in clients]
    for page in pages:
        assert page.headers["Content-Type"].startswith("text/plain; version=")
        scrape = read_metrics(page.text)
        assert scrape.outcomes("null") == {"ok": 20, "bad_request": 4}
        each = [scrape("tailrace_worker_requests_total", worker=worker) for worker in "12"]
        assert sorted(each) == [8, 12]
        assert scrape("tailrace_batch_size_count", model="null") == 20
        assert scrape("tailrace_batch_size_sum", model="null") == 20
        whole_s = scrape("tailrace_request_duration_seconds_sum", model="null")
        parts_s = [
            scrape("tailrace_stage_duration_seconds_sum", model="null", stage=stage)
            for stage in STAGES
        ]
        assert sum(parts_s) == pytest.approx(whole_s, rel=1e-9)
        assert [scrape("tailrace_worker_ready", worker=worker) for worker in "12"] == [1, 1]
        for worker, pid in enumerate(server.workers(), 1):
            used = scrape("process_resident_memory_bytes", worker=str(worker))
            resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            assert used == pytest.approx(resident_pages * os.sysconf("SC_PAGE_SIZE"), rel=0.25)
            assert scrape("process_cpu_seconds_total", worker=str(worker)) > 0


def test_broken_connections_leave_the_levels_at_zero(launch: Callable[..., Any]) -> None:
    server = launch("null", "--port", "0").start()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_S) as connection:
            connection.sendall(b"GET /gpu HTTP/1.1\r\nHost: x\r\n\r\n")
    assert httpx.get(f"{server.url}/gpu", timeout=TIMEOUT_S).text == "ok"
    levels = ("tailrace_queue_depth", "tailrace_requests_in_flight")
    server.scrape_until(lambda scrape: not any(scrape(level, worker="1") for level in levels))
