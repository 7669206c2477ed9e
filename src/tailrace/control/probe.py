"""What a service says of itself while it is under load: the CPU and GPU in its /metrics."""

import asyncio
import math
import re
import time
from statistics import fmean
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tailrace.errors import UsageError
from tailrace.load.client.target import Tls, without_credentials
from tailrace.net import trusting

CPU_SECONDS = "process_cpu_seconds_total"
GPU_PERCENT = {
    "tailrace_gpu_utilization_ratio": 100.0,
    "nv_gpu_utilization": 100.0,
    "DCGM_FI_DEV_GPU_UTIL": 1.0,
}
"""Gauges of a GPU's utilization (our own service's, Triton's, DCGM's), and what makes each percent;
the first that is there counts."""
MAX_BYTES = 4 << 20
MAX_TOLD_BYTES = 1 << 16
"""Of the lines that are looked for: a machine of sixteen GPUs has a tenth of it."""
_LONGEST_LINE = 1 << 13
FAILURES = 3
"""After so many in a row, the service is asked only now and then."""

_LINES = re.compile(
    rf"^(?:{'|'.join((CPU_SECONDS, *GPU_PERCENT))})[ \t{{].*$".encode(), re.MULTILINE
)
_HEADERS = {
    "Accept": "text/plain; version=0.0.4",
    # What is not compressed cannot unfold to more than was sent.
    "Accept-Encoding": "identity",
}

Labels = frozenset[tuple[str, str]]
Samples = dict[str, dict[Labels, float]]


def metrics_url_of(url: str) -> str:
    """Where a service at `url` would have its metrics: /metrics at the same host and port."""
    parts = urlsplit(without_credentials(url))
    return f"{parts.scheme}://{parts.netloc}/metrics"


class Probe:
    """Reads a service's metrics once an interval, from `start` to `close`.

    A service that does not answer, or answers something else, is no error: it tells nothing, and
    after three failures in a row is asked only every `retry_s`.

    Args:
        url: of text in Prometheus' format, http or https; redirects are not followed.
        interval_s: between two readings; one takes at most 80 % of it.
        tls: how an https server's certificate is checked.
        authorization: value of the header of that name, where the metrics ask for one.

    Raises:
        UsageError: the URL or the file of trusted authorities cannot be used.
    """

    def __init__(
        self,
        url: str,
        interval_s: float,
        *,
        tls: Tls | None = None,
        authorization: str | None = None,
        retry_s: float = 30.0,
    ) -> None:
        self._url = _check(url)
        self._headers = _HEADERS | ({"Authorization": authorization} if authorization else {})
        self._interval_s = interval_s
        self._retry_s = max(retry_s, interval_s)
        self._task: asyncio.Task[None] | None = None
        self._cpu: tuple[float, dict[Labels, float]] | None = None
        self._latest: dict[str, float] = {}
        tls = tls or Tls()
        is_https = self._url.scheme == "https"
        self._context = trusting(tls.ca_file, verify=tls.verify) if is_https else False

    async def start(self) -> None:
        """Begin to read, in the background."""
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def latest(self) -> dict[str, float]:
        """Of the last reading, if it succeeded: `cpu_percent` of one core since the reading before,
        all processes summed, and `gpu_percent`, the mean over GPUs; each if it is told.
        """
        return self._latest

    async def _follow(self) -> None:
        failures = 0
        # Without the environment's proxies: the load goes without them too.
        async with httpx.AsyncClient(
            verify=self._context, trust_env=False, headers=self._headers
        ) as client:
            while True:
                began = time.monotonic()
                try:
                    async with asyncio.timeout(0.8 * self._interval_s):
                        lines = await _fetch(client, self._url)
                    at_s = time.monotonic()
                    samples = await asyncio.to_thread(read_samples, lines)
                    self._latest = self._understand(samples, at_s)
                    failures = 0
                # Whatever an answer does to those who read it: it tells nothing.
                except Exception:  # noqa: BLE001
                    self._latest, self._cpu = {}, None
                    failures += 1
                # They would be kept, and sent, in ever greater number.
                client.cookies.clear()
                pause = self._interval_s if failures < FAILURES else self._retry_s
                await asyncio.sleep(began + pause - time.monotonic())

    def _understand(self, samples: Samples, now_s: float) -> dict[str, float]:
        told = {}
        cpu = samples.get(CPU_SECONDS)
        if cpu and self._cpu is not None:
            before_s, before = self._cpu
            told["cpu_percent"] = 100 * _grown(before, cpu) / (now_s - before_s)
        self._cpu = (now_s, cpu) if cpu else None
        for name, factor in GPU_PERCENT.items():
            if gauges := samples.get(name):
                told["gpu_percent"] = factor * fmean(gauges.values())
                break
        return {name: round(value, 2) for name, value in told.items() if math.isfinite(value)}


def read_samples(lines: bytes) -> Samples:
    """The samples in `lines`, Prometheus' text format: name → labels → value.

    Raises:
        ValueError: a line is broken.
    """
    samples: Samples = {}
    try:
        for family in text_string_to_metric_families(lines.decode()):
            for sample in family.samples:
                if math.isfinite(sample.value):
                    own = samples.setdefault(sample.name, {})
                    own[frozenset(sample.labels.items())] = float(sample.value)
    except (IndexError, OverflowError) as error:
        # What the parser makes of some broken lines, and of integers beyond any float.
        raise ValueError("broken metrics") from error
    return samples


def _grown(before: dict[Labels, float], now: dict[Labels, float]) -> float:
    """By how much counters grew together. One that fell began anew from 0; one that is new has no
    past to be measured from.
    """
    pairs = [(before[labels], value) for labels, value in now.items() if labels in before]
    return sum(value - old if value >= old else value for old, value in pairs)


async def _fetch(client: httpx.AsyncClient, url: httpx.URL) -> bytes:
    """The lines on CPU and GPU: a service may have ten thousand others, which are dropped as they
    come.
    """
    async with client.stream("GET", url) as response:
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"{response.status_code}")
        told, rest, size_bytes = bytearray(), b"", 0
        async for part in response.aiter_raw():
            whole, newline, rest = (rest + part).rpartition(b"\n")
            told += b"".join(line + b"\n" for line in _LINES.findall(whole + newline))
            rest = rest[:_LONGEST_LINE]
            size_bytes += len(part)
            if size_bytes > MAX_BYTES or len(told) > MAX_TOLD_BYTES:
                raise ValueError("too long")
        told += b"".join(_LINES.findall(rest))
    return bytes(told) + b"\n"


def _check(url: str) -> httpx.URL:
    shown = without_credentials(url)
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise UsageError(f"{shown!r} is not a URL for metrics: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError(f"{shown!r} is not a URL for metrics: write http://host:port/metrics")
    return parsed
