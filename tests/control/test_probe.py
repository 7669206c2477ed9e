"""A service's own figures, from whatever it answers at /metrics."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tailrace.control.probe import (
    CPU_SECONDS,
    FAILURES,
    MAX_BYTES,
    Probe,
    metrics_url_of,
    read_samples,
)
from tailrace.errors import UsageError
from tailrace.load.client.target import Tls
from tailrace.runs.listing import read_run
from tailrace.runs.run import Run
from tests.kit.plans import make_plan
from tests.kit.ports import free_port
from tests.kit.programs import ServerProcess
from tests.kit.server import Server, answer_by, answer_raw, http
from tests.kit.tls import certified
from tests.kit.waiting import until

INTERVAL_S = 0.1


@contextlib.asynccontextmanager
async def probing(url: str, retry_s: float = 30.0, tls: Tls | None = None) -> AsyncIterator[Probe]:
    probe = Probe(url, INTERVAL_S, tls=tls, retry_s=retry_s)
    await probe.start()
    try:
        yield probe
    finally:
        await probe.close()


async def tells(probe: Probe, **expected: Any) -> None:
    """Return once that, and nothing else, is told."""
    await until(lambda: probe.latest() == expected)


async def test_cpu_is_the_growth_of_all_processes_together(serve: Any) -> None:
    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        now_s = time.monotonic()
        text = (
            "# TYPE process_cpu_seconds_total counter\n"
            f'process_cpu_seconds_total{{worker="1"}} {0.5 * now_s}\n'
            f'process_cpu_seconds_total{{worker="2"}} {1.5 * now_s}\n'
            "process_cpu_seconds_total_of_another 5\n"
            f'no_cpu_at_all{{worker="1"}} {now_s}\n'
        )
        writer.write(http(text.encode()))

    server = serve(answer)
    async with probing(server.url + "metrics") as probe:
        assert probe.latest() == {}
        await until(probe.latest)
        # Both ends of a reading are uncertain by the time it takes.
        assert probe.latest() == {"cpu_percent": pytest.approx(200, rel=0.5)}


async def test_a_process_that_began_anew_counts_from_zero(serve: Any) -> None:
    counts = {0: (1e6, 3), 1: (0, 3)}

    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        old, other = counts.get(number, (0, 3))
        lines = [f'process_cpu_seconds_total{{pid="{p}"}} {v}' for p, v in ((1, old), (2, other))]
        if number:
            lines.append('process_cpu_seconds_total{pid="3"} 1e9')
        writer.write(http("\n".join(lines).encode()))

    async with probing(serve(answer).url) as probe:
        await tells(probe, cpu_percent=0)


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ('nv_gpu_utilization{gpu_uuid="a"} 0.5\nnv_gpu_utilization{gpu_uuid="b"} 0.25\n', 37.5),
        ('DCGM_FI_DEV_GPU_UTIL{gpu="0"} 80\nDCGM_FI_DEV_GPU_UTIL{gpu="1"} NaN\n', 80),
        ('tailrace_gpu_utilization_ratio{gpu="0"} 0.125\nnv_gpu_utilization{gpu="0"} 1\n', 12.5),
        ('DCGM_FI_DEV_GPU_UTIL{gpu="0"} 0 1700000000000\n', 0),
    ],
)
async def test_gpu_is_the_mean_over_gpus_in_percent(serve: Any, text: str, percent: float) -> None:
    async with probing(serve(answer_raw(http(text.encode()))).url) as probe:
        await tells(probe, gpu_percent=percent)


GPU = b"nv_gpu_utilization 0.5\n"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(http(b"no", 404), id="404"),
        pytest.param(http(b"", 302, Location="/"), id="redirect"),
        pytest.param(b"\x16\x03\x01 I am no HTTP\r\n\r\n", id="no-http"),
        pytest.param(http(b"nv_gpu_utilization x\n"), id="broken-line"),
        pytest.param(http(b"nv_gpu_utilization " + b"9" * 400 + b"\n"), id="beyond-any-float"),
        pytest.param(http(b"nv_gpu_utilization{= 5\n"), id="broken-labels"),
        pytest.param(http(b'nv_gpu_utilization{a="\xff"} 1\n'), id="no-text"),
        pytest.param(http(GPU * 10_000), id="too-many-lines"),
        pytest.param(http(b"nv_gpu_utilization " + b"1" * 2**20), id="a-long-line"),
        pytest.param(http(GPU + b"x" * MAX_BYTES), id="too-long"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + GPU, id="never-complete"),
        pytest.param(b"", id="no-answer"),
        pytest.param(http(b"other 5\n"), id="nothing-of-use"),
        pytest.param(http(b""), id="empty"),
    ],
)
async def test_what_cannot_be_read_tells_nothing_and_is_tried_again(serve: Any, bad: bytes) -> None:
    """Good, then bad twice, then good again."""

    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        broken = number in (2, 3)
        writer.write(bad if broken else http(GPU))
        if broken and bad.startswith(b"\x16"):
            writer.close()

    async with probing(serve(answer).url) as probe:
        await tells(probe, gpu_percent=50)
        await tells(probe)
        await tells(probe, gpu_percent=50)


async def test_after_three_failures_it_is_asked_only_now_and_then(serve: Any) -> None:
    answer = answer_by(lambda number: http(b"no", 404) if number < FAILURES else http(GPU))
    server = serve(answer)
    async with probing(server.url, retry_s=1.0) as probe:
        await tells(probe, gpu_percent=50)
        await until(lambda: len(server.heads) >= FAILURES + 5)
    gaps_s = [(b - a) / 1e9 for a, b in zip(server.arrived_ns, server.arrived_ns[1:], strict=False)]
    # The shortest of the others: a busy machine makes any gap longer.
    assert min(gaps_s[: FAILURES - 1]) < 0.9 < gaps_s[FAILURES - 1]
    assert min(gaps_s[FAILURES:]) < 0.9


async def test_nobody_there_is_no_error() -> None:
    port = free_port()
    async with probing(f"http://127.0.0.1:{port}/metrics", retry_s=INTERVAL_S) as probe:
        assert probe.latest() == {}
        async with Server(answer_raw(http(GPU)), port=port):
            await tells(probe, gpu_percent=50)


async def test_https_as_the_service_is_told_to_be_checked(serve: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    port = serve(answer_raw(http(GPU)), tls=certified("localhost", authority)).port
    for tls in (Tls(ca_file=tmp_path / "ca.pem"), Tls(verify=False)):
        async with probing(f"https://localhost:{port}/metrics", tls=tls) as trusting:
            await tells(trusting, gpu_percent=50)


@pytest.mark.parametrize("url", ["ftp://h/metrics", "file:///etc/passwd", "h:80", "", "http://"])
def test_only_http(url: str) -> None:
    with pytest.raises(UsageError, match="not a URL for metrics"):
        Probe(url, 1.0)


def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.pem"):
        Probe("https://h/metrics", 1.0, tls=Tls(ca_file=tmp_path / "absent.pem"))


@pytest.mark.parametrize(
    ("url", "metrics"),
    [
        ("http://h:8000/v2/models/x/infer?a=b#c", "http://h:8000/metrics"),
        ("https://user:pass@h/x", "https://h/metrics"),
        ("http://[::1]:5000", "http://[::1]:5000/metrics"),
    ],
)
def test_metrics_are_looked_for_at_the_same_host_and_port(url: str, metrics: str) -> None:
    assert metrics_url_of(url) == metrics


async def test_the_lines_of_others_are_not_even_read(serve: Any) -> None:
    others = b'a_bucket{le="broken\xff\n' * 50_000

    text = others + b"process_of_another 1\r\n" + GPU + others + GPU.strip()
    async with probing(serve(answer_raw(http(text))).url) as probe:
        await tells(probe, gpu_percent=50)


async def test_the_event_loop_is_not_held_by_what_a_target_tells(serve: Any) -> None:
    text = b"".join(b'process_cpu_seconds_total{pid="%d"} 1\n' % n for n in range(100_000))
    assert len(text) < MAX_BYTES
    began_s = time.monotonic()
    assert len(read_samples(text)[CPU_SECONDS]) == 100_000
    whole_s = time.monotonic() - began_s

    server = serve(answer_raw(http(text)))
    async with probing(server.url, retry_s=INTERVAL_S):
        longest_s = 0.0
        while len(server.arrived_ns) < 6:
            before_s = time.monotonic()
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, time.monotonic() - before_s)
    assert longest_s < whole_s / 4


async def test_a_target_leaves_no_cookies(serve: Any) -> None:
    server = serve(answer_raw(http(GPU, Set_Cookie="c=x")))
    async with probing(f"{server.url}metrics"):
        await until(lambda: len(server.heads) >= 4)
    assert not any(b"cookie" in head.lower() for head in server.heads)


async def test_a_run_notes_what_the_service_tells(serve: Any, tmp_path: Path) -> None:
    server = serve(answer_raw(http(GPU)))
    plan = make_plan(server.url, arrivals="constant", duration_s=0.6, interval_s=0.2)
    async with probing(server.url) as probe:
        await tells(probe, gpu_percent=50)
        run = Run(plan, tmp_path / "a", probe.latest)
        await run.start()
        handed_on = [interval.point.server async for interval in run.intervals()]
    assert handed_on == [{"gpu_percent": 50}] * 3
    assert [point.server for point in read_run(tmp_path, "a").points] == handed_on


async def test_our_own_service_tells_its_cpu(shapes_server: ServerProcess) -> None:
    async with probing(metrics_url_of(f"{shapes_server.url}/v2")) as probe:
        await until(lambda: "cpu_percent" in probe.latest())
        assert probe.latest()["cpu_percent"] >= 0
