"""`/metrics`: the counters of all worker processes, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from tailrace import __version__
from tailrace.service import gpus
from tailrace.service.config import ServiceConfig
from tailrace.service.meter import (
    BATCH_BOUNDS,
    DURATION_BOUNDS_S,
    Counts,
    Histogram,
    Siblings,
    WorkerState,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Renders what is counted. Reading GPUs may take milliseconds: not for the event loop."""

    def __init__(self, config: ServiceConfig, siblings: Siblings) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(config, siblings))

    def render(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)


class _Collector(Collector):
    def __init__(self, config: ServiceConfig, siblings: Siblings) -> None:
        self._config = config
        self._siblings = siblings

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "tailrace",
            "The service",
            {
                "version": __version__,
                "models": ",".join(self._config.models),
                "runtime": self._config.runtime,
                "device": self._config.device,
            },
        )
        snapshot = self._siblings.snapshot()
        yield from _requests(snapshot.models)
        yield from _workers(snapshot.workers)
        if snapshot.one_machine:
            yield from gpus.metrics()


def _requests(models: Mapping[str, Counts]) -> Iterable[Metric]:
    requests = CounterMetricFamily(
        "tailrace_requests", "Requests by how they ended", labels=("model", "outcome")
    )
    batches = HistogramMetricFamily(
        "tailrace_batch_size", "Rows of each inference", labels=("model",)
    )
    total = HistogramMetricFamily(
        "tailrace_request_duration_seconds",
        "Answered requests, from their arrival to the last byte of the answer",
        labels=("model",),
    )
    stages = HistogramMetricFamily(
        "tailrace_stage_duration_seconds",
        "Answered requests: time in each stage; they add up to the request's duration",
        labels=("model", "stage"),
    )
    for model, counts in models.items():
        for outcome, count in counts.outcomes.items():
            requests.add_metric((model, outcome), count)
        _add(batches, (model,), counts.batches, BATCH_BOUNDS, 1)
        _add(total, (model,), counts.total, DURATION_BOUNDS_S, 1e9)
        for stage, histogram in counts.stages.items():
            _add(stages, (model, stage), histogram, DURATION_BOUNDS_S, 1e9)
    return requests, batches, total, stages


def _workers(workers: Iterable[WorkerState]) -> Iterable[Metric]:
    labels = ("worker",)
    ready = GaugeMetricFamily("tailrace_worker_ready", "1 if it is warm", labels=labels)
    waiting = GaugeMetricFamily(
        "tailrace_queue_depth", "Requests that wait for a thread", labels=labels
    )
    running = GaugeMetricFamily(
        "tailrace_requests_in_flight", "Requests that a thread works on", labels=labels
    )
    answered = CounterMetricFamily(
        "tailrace_worker_requests", "Requests that the worker answered", labels=labels
    )
    restarts = CounterMetricFamily(
        "tailrace_worker_restarts", "Times it died and was started again", labels=labels
    )
    hangs = CounterMetricFamily(
        "tailrace_worker_hangs", "Times it was replaced because it hung", labels=labels
    )
    broken = CounterMetricFamily(
        "tailrace_worker_broken_pictures",
        "Pictures that decoders called broken, whether or not they decoded them",
        labels=labels,
    )
    cpu = CounterMetricFamily("process_cpu_seconds", "CPU time of the process", labels=labels)
    resident = GaugeMetricFamily(
        "process_resident_memory_bytes", "Resident memory of the process", labels=labels
    )
    for worker in workers:
        name = (worker.name,)
        ready.add_metric(name, int(worker.ready))
        waiting.add_metric(name, worker.waiting)
        running.add_metric(name, worker.running)
        answered.add_metric(name, worker.answered)
        restarts.add_metric(name, worker.restarts)
        hangs.add_metric(name, worker.hangs)
        broken.add_metric(name, worker.broken_pictures)
        if worker.used is not None:
            cpu.add_metric(name, worker.used.cpu_s)
            resident.add_metric(name, worker.used.resident_bytes)
    return ready, waiting, running, answered, restarts, hangs, broken, cpu, resident


def _add(
    family: HistogramMetricFamily,
    labels: Sequence[str],
    histogram: Histogram,
    bounds: Sequence[float],
    unit: float,
) -> None:
    # Prometheus's buckets count all that is less, too.
    limits = [*map(str, map(float, bounds)), "+Inf"]
    buckets = list(zip(limits, map(float, accumulate(histogram.counts)), strict=True))
    family.add_metric(labels, buckets, sum_value=histogram.sum / unit)
