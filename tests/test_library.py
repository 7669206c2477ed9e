"""Tailrace in a program: scripts, notebooks, threads."""

import asyncio
import math
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import tailrace
from tests.kit.server import answer_after
from tests.kit.waiting import wait_until


def test_a_run_is_a_result(serve: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    server = serve()
    before = set(Path.cwd().iterdir())
    result = tailrace.run(
        server.url,
        rate=200,
        duration="600ms",
        interval="200ms",
        slo=["p99<9s", "max<1us"],
    )
    assert result.offered == result.completed == len(server.arrived_ns)
    assert result.latency_ms.p50 is not None
    assert result.latency_ms.p50 <= result.latency_ms.p99_9 <= result.latency_ms.max  # type: ignore[operator]
    assert result.slo == {"p99<9s": True, "max<1us": False}
    # Until the last answer is there.
    assert len(result.timeline) >= 3
    assert [point.index for point in result.timeline] == list(range(len(result.timeline)))
    assert sum(point.completed for point in result.timeline) == result.completed
    assert abs(result.start_wall_time - time.time()) < 60  # type: ignore[operator]
    shown = repr(result).splitlines()
    assert len(shown) == 2
    assert server.url in shown[0]
    # So few requests decide no p99.
    assert "p99<9s not decided yet" in shown[1]
    # Nothing is printed or written that nobody asked for.
    assert capfd.readouterr() == ("", "")
    assert set(Path.cwd().iterdir()) == before
    with pytest.raises(tailrace.TailraceError, match="no raw samples"):
        _ = result.samples


def test_the_timeline_is_a_table(serve: Any) -> None:
    async def half(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        status = b"503 Busy" if number % 2 else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    result = tailrace.run(serve(half).url, rate=200, duration=0.5, interval=0.25)
    table = result.to_pandas()
    assert len(table) == len(result.timeline)
    assert table["completed"].sum() == result.completed
    assert table["failed"].sum() == table["failed.http_5xx"].sum() == result.failed["http_5xx"]
    # Where nothing was answered a table has no number, and a point None.
    tails = [math.nan if (ms := p.latency_ms.p99_9) is None else ms for p in result.timeline]
    assert table["latency_ms.p99.9"].tolist() == pytest.approx(tails, nan_ok=True)


@pytest.mark.parametrize("kept", ["s.csv", "s.parquet", True])
def test_raw_samples_of_a_run(serve: Any, tmp_path: Path, kept: Any) -> None:
    samples = kept if kept is True else tmp_path / kept
    out = tmp_path / "run"
    result = tailrace.run(serve().url, rate=200, duration=0.5, samples=samples, workers=2, out=out)
    assert len(result.samples) == result.offered
    assert set(result.samples["worker"]) == {0, 1}
    latencies_ns = result.samples["done_ns"] - result.samples["intended_ns"]
    assert latencies_ns.max() / 1e6 == pytest.approx(result.latency_ms.max, abs=1e-4)
    assert len(result.samples.to_pandas()) == result.offered
    if kept is True:
        with pytest.raises(tailrace.TailraceError, match="no raw samples"):
            _ = tailrace.read_run(out).samples
        return
    assert len(tailrace.read_samples(tmp_path / kept)) == result.offered
    # The run and its samples are found wherever they have been moved together.
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    assert len(tailrace.read_run(moved / "run").samples) == result.offered


def test_a_share_of_samples_alone_keeps_them_in_memory(serve: Any) -> None:
    result = tailrace.run(serve().url, rate=1000, duration=0.5, samples_share=0.1)
    assert 0 < len(result.samples) < result.offered / 2


def test_a_run_kept_is_read_and_listed(serve: Any, tmp_path: Path) -> None:
    result = tailrace.run(serve().url, rate=100, duration=0.5, out=tmp_path / "one", slo="p99<9s")
    read = tailrace.read_run(tmp_path / "one")
    assert read == result
    (info,) = tailrace.list_runs(tmp_path)
    assert (info.name, info.completed) == ("one", result.completed)
    assert repr(info).startswith("one: http://")
    with pytest.raises(tailrace.UsageError, match="there is no run"):
        tailrace.read_run(tmp_path / "two")
    # As a run, and as all in a directory.
    p50 = tailrace.compare(tmp_path / "one", [tmp_path]).by_name["p50"]
    assert p50.base == p50.other == pytest.approx(result.latency_ms.p50, abs=1e-3)


def test_a_run_that_was_killed_is_read_as_far_as_it_got(serve: Any, tmp_path: Path) -> None:
    script = (
        "import sys, tailrace; tailrace.run(sys.argv[1], interval='200ms', out='run', slo='p99<9s')"
    )
    process = subprocess.Popen([sys.executable, "-c", script, serve().url], cwd=tmp_path)
    timeline = tmp_path / "run" / "timeline.jsonl"
    wait_until(lambda: timeline.exists() and timeline.read_bytes().count(b"\n") >= 3)
    process.kill()
    process.wait()
    result = tailrace.read_run(tmp_path / "run")
    assert len(result.timeline) >= 3
    assert result.completed == sum(point.completed for point in result.timeline) > 0
    assert result.latency_ms.p99 is not None
    assert result.slo == {"p99<9s": True}
    assert not result.verdict.valid


async def test_a_live_run_is_followed_and_steered(serve: Any) -> None:
    server = serve()
    async with tailrace.start(server.url, rate=50, interval="200ms") as run:
        seen = []
        async for interval in run.intervals():
            seen.append(interval)
            if interval.index == 1:
                since_s = await run.set_rate("400/s")
                assert run.elapsed_s >= since_s
                assert run.rate == 400
            if interval.index == 4:
                assert await run.set_profile("100..200/10s") > since_s
                result = await run.stop()
        with pytest.raises(RuntimeError, match="begins once"):
            await run.__aenter__()
    assert run.result is result
    assert result.ended_by == "stop"
    assert list(result.timeline) == seen
    assert [event.kind for point in seen for event in point.events] == ["rate", "profile", "stop"]
    assert result.completed == len(server.arrived_ns)
    rates = [point.target_per_s for point in seen]
    assert rates[0] == 50
    assert 400 in rates


async def test_two_may_follow_a_run_and_miss_nothing(serve: Any) -> None:
    async with tailrace.start(serve().url, rate=50, duration=0.6, interval="200ms") as run:

        async def follow() -> list[int]:
            return [interval.index async for interval in run.intervals()]

        first = asyncio.create_task(follow())
        await run.wait()
        assert await first == await follow() == [point.index for point in run.result.timeline]


async def test_the_end_of_the_block_is_that_of_the_load(serve: Any) -> None:
    server = serve()
    run = tailrace.start(server.url, rate=100, interval=0.2)
    for too_early in (run.wait, run.stop, run.intervals().__anext__):
        with pytest.raises(RuntimeError, match="not begun"):
            await too_early()
    async with run:
        await anext(run.intervals())
        with pytest.raises(RuntimeError, match="not over"):
            _ = run.result
    assert run.result.ended_by == "stop"
    assert run.result.completed == len(server.arrived_ns)

    run = tailrace.start(serve(answer_after(30)).url, rate=100, timeout=60, interval=0.2)

    async def break_off() -> None:
        async with run:
            await anext(run.intervals())
            raise EOFError

    with pytest.raises(EOFError):
        await break_off()
    # It waits for nothing.
    assert run.result.failed == {"aborted": run.result.offered}


async def test_run_works_where_a_loop_is_running(serve: Any) -> None:
    """As it is in a notebook."""
    assert tailrace.run(serve().url, rate=50, duration=0.5).completed > 0


def test_run_works_in_threads(serve: Any) -> None:
    url, results = serve().url, []
    threads = [
        threading.Thread(target=lambda: results.append(tailrace.run(url, rate=50, duration=0.5)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.completed == result.offered > 0 for result in results] == [True, True]


@pytest.mark.slow("a search takes ten seconds at least")
def test_the_rate_found(serve: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = tailrace.find(
        serve().url,
        slo="p50<9s",
        duration="10s",
        start=50,
        highest="100/s",
        out=tmp_path / "f",
        progress=True,
    )
    assert found.rate_per_s == pytest.approx(100, rel=0.1)
    assert found.confirmed
    assert "hold p50<9s" in repr(found)
    assert (tmp_path / "f" / "find.json").exists()
    assert len(capfd.readouterr().err.splitlines()) == len(found.steps)


@pytest.mark.parametrize(
    ("error", "complaint", "settings"),
    [
        (TypeError, "no setting 'rat': did you mean 'rate'", {"rat": 100}),
        (TypeError, "did you mean 'duration'", {"durations": "10s"}),
        (tailrace.UsageError, "is not a rate", {"rate": "fast"}),
        (tailrace.UsageError, "not an SLO", {"slo": "quick"}),
        (tailrace.UsageError, "raw samples go to", {"samples": "s.txt"}),
        (tailrace.UsageError, "share of samples", {"samples_share": 2}),
    ],
)
def test_what_cannot_be_is_said_before_anything_happens(
    error: type[Exception], complaint: str, settings: dict[str, Any]
) -> None:
    for function in (tailrace.run, tailrace.start):
        with pytest.raises(error, match=complaint):
            function("http://127.0.0.1:9/", **settings)


def test_a_config_has_all_settings(serve: Any) -> None:
    config = tailrace.LoadConfig(url=serve().url, profile="50", duration_s=0.5)
    assert tailrace.run(config).completed > 0
    with pytest.raises(TypeError, match="has all settings"):
        tailrace.run(config, rate=3)


def test_a_directory_that_is_not_empty_is_refused(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(tailrace.TailraceError, match="is not empty"):
        tailrace.run(serve().url, duration=0.5, out=tmp_path)


SCRIPT = """
import sys, tailrace
print("begins", flush=True)
try:
    tailrace.run(sys.argv[1], rate=100, duration="60s", out="run", interval="100ms")
except KeyboardInterrupt:
    print(tailrace.read_run("run").ended_by)
"""


def test_a_script_needs_no_guard_and_ends_at_ctrl_c(serve: Any, tmp_path: Path) -> None:
    """The load workers are no copies of it, and the run is kept whole."""
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "script.py", serve(answer_after(0.5)).url],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    timeline = tmp_path / "run" / "timeline.jsonl"
    wait_until(lambda: timeline.exists() and timeline.read_bytes().count(b"\n") >= 2)
    # As a terminal does it: to all of its processes.
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert out.split() == ["begins", "stop"]
    assert error == ""


def test_the_package_shows_what_there_is() -> None:
    listing = "import sys, tailrace; print(*dir(tailrace)); print('numpy' in sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    )
    names, heavy = out.stdout.splitlines()
    assert {"run", "start", "find", "read_run", "list_runs", "connect"} < set(names.split())
    # Nothing but a name costs anything until it is used.
    assert heavy == "False"
    for name in names.split():
        assert getattr(tailrace, name)
