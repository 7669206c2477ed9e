"""Utilisation and memory of the machine's NVIDIA GPUs, where there are any."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pynvml
from prometheus_client.core import GaugeMetricFamily, Metric


def metrics() -> Iterator[Metric]:
    """A gauge each for utilisation, memory used and memory in all; nothing without a GPU."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return
    try:
        yield from _read()
    finally:
        pynvml.nvmlShutdown()


def _read() -> list[Metric]:
    labels = ("gpu", "name")
    busy = GaugeMetricFamily(
        "tailrace_gpu_utilization_ratio", "Share of time a kernel ran, 0..1", labels=labels
    )
    used = GaugeMetricFamily("tailrace_gpu_memory_used_bytes", "Memory in use", labels=labels)
    total = GaugeMetricFamily("tailrace_gpu_memory_total_bytes", "Memory in all", labels=labels)
    for index in range(pynvml.nvmlDeviceGetCount()):
        # What a card does not tell, as its utilisation when it is partitioned, is left out.
        with contextlib.suppress(pynvml.NVMLError):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            name = (str(index), str(pynvml.nvmlDeviceGetName(handle)))
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            used.add_metric(name, memory.used)
            total.add_metric(name, memory.total)
            busy.add_metric(name, pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
    return [busy, used, total]
