"""Load from several simulated nodes of a Ray cluster, against a real server."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tailrace.cluster import connect
from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.errors import UsageError
from tailrace.load.client.request import Body
from tailrace.load.measure.point import Point
from tailrace.load.on_ray.launcher import RayLauncher
from tailrace.load.schedule.arrivals import Poisson
from tailrace.load.schedule.profile import constant, parse_profile
from tailrace.load.session.plan import Plan
from tailrace.load.session.session import Session
from tailrace.load.worker.launcher import GeneratorError
from tailrace.runs.samples import read_raw_samples
from tests.kit import cli
from tests.kit.plans import make_plan
from tests.kit.ray_nodes import is_ours, node_with
from tests.kit.waiting import TIMEOUT_S, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNTED = [Body(b"{{counter}}", "text/plain")]


def ray_plan(url: str, profile: str = "150", **settings: Any) -> Plan:
    defaults = {"duration_s": 3.0, "workers": 4, "timeout_s": 10.0, "interval_s": 1.0}
    return make_plan(url, profile, settings.pop("bodies", COUNTED), **(defaults | settings))


async def run_session(session: Session) -> list[Point]:
    await session.start()
    return [interval.point async for interval in session.intervals()]


def due(rate_per_s: float, until_s: float) -> set[int]:
    """Numbers of the requests of a Poisson schedule of seed 1 that are due by then."""
    times = constant(rate_per_s).inverse(next(Poisson().chunks(1)))
    return set(np.flatnonzero(times < until_s).tolist())


def worker_processes() -> list[int]:
    """Ids of the load worker processes whose parent is an actor of this process's cluster."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            line = status.with_name("cmdline").read_bytes()
            parent = re.search(r"^PPid:\s(\d+)$", status.read_text(), re.MULTILINE)
            if b"tailrace.load.worker" not in line or parent is None:
                continue
            agent = Path(f"/proc/{parent[1]}/cmdline").read_bytes().startswith(b"ray::Agent")
            if agent and is_ours(int(parent[1])):
                found.append(int(status.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


@pytest.mark.smoke
async def test_a_fleet_offers_the_schedule_of_one_machine(cluster: Any, serve: Any) -> None:
    server = serve()
    session = Session(ray_plan(server.url), RayLauncher(cluster.address))
    points = await run_session(session)
    assert session.problems == []
    sent = [int(body) for body in server.bodies]
    assert len(sent) == len(set(sent))
    assert set(sent) == due(150, 3.0)
    assert session.total.completed == session.total.offered == len(sent)
    assert [point.index for point in points] == [0, 1, 2]
    assert sum(point.offered for point in points) == len(sent)
    # All nodes are at work, and their figures add up to those of the run.
    for point in points:
        assert len(point.nodes) == 3
        assert sum(node.workers for node in point.nodes.values()) == 4
        rps = sum(node.rps for node in point.nodes.values())
        # Each node's interval is as long as its workers' reports are late.
        late = point.tick_lag_ms / 1e3 / point.interval_s
        assert rps == pytest.approx(point.rps, rel=0.01 + late)
    assert sorted(node.workers for node in session.nodes.values()) == [1, 1, 2]
    for node in session.nodes.values():
        assert 0 < node.clock_error_ms < 1000
        assert node.send_lag_p99_us is not None
        assert node.cpu_percent > 0
        assert node.seen_s == pytest.approx(3.0, abs=2.0)


async def test_a_live_change_reaches_all_at_one_instant(cluster: Any, serve: Any) -> None:
    """To within an arrival or two a worker, what is offered is the profile with its change."""
    session = Session(
        ray_plan(serve().url, profile="100", duration_s=2.5, arrivals="constant"),
        RayLauncher(cluster.address),
    )
    await session.start()
    await asyncio.sleep(max(1.0 - session.elapsed_s, 0))
    asked_s = session.elapsed_s
    change_s = session.set_rate(400)
    assert change_s - asked_s <= 0.1
    points = [interval.point async for interval in session.intervals()]
    assert session.problems == []
    assert session.total.offered == pytest.approx(100 * change_s + 400 * (2.5 - change_s), abs=8)
    (event,) = [event for point in points for event in point.events]
    assert event.t_s == pytest.approx(change_s, abs=1e-5)


async def test_files_that_are_named_need_be_on_one_machine_only(
    cluster: Any, serve: Any, tmp_path: Path
) -> None:
    """Workers start in directories of their own: a relative name is found only if it was sent."""
    (tmp_path / "arrivals.csv").write_text("t\n" + "\n".join(f"{n / 50}" for n in range(100)))
    (tmp_path / "rates.csv").write_text("t_s,rate\n0,50\n1,200\n")
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        session = Session(
            ray_plan(
                serve().url,
                arrivals="trace:arrivals.csv",
                profile="trace(rates.csv)",
                duration_s=5.0,
            ),
            RayLauncher(cluster.address),
        )
        await session.start()
        session.follow(parse_profile("trace(rates.csv,scale=0.5)"))
        async for _ in session.intervals():
            pass
    finally:
        os.chdir(here)
    assert session.problems == []
    assert session.total.completed == 100


async def test_large_requests_arrive_whole(cluster: Any, serve: Any) -> None:
    bodies = [Body(os.urandom(2_000_000), "application/octet-stream") for _ in range(3)]
    server = serve()
    plan = ray_plan(server.url, profile="6", bodies=bodies, workers=3, duration_s=2.0)
    session = Session(plan, RayLauncher(cluster.address))
    await run_session(session)
    assert session.total.completed == session.total.offered > 3
    assert set(server.bodies) <= {body.content for body in bodies}


async def test_a_cluster_without_the_room(cluster: Any, serve: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("tailrace.load.on_ray.launcher._ROOM_S", 1.0)
    session = Session(ray_plan(serve().url, workers=6), RayLauncher(cluster.address))
    with pytest.raises(GeneratorError, match="6 load workers need as many CPUs, and of the 5"):
        await session.start()


async def test_another_version_on_a_node(cluster: Any, serve: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("tailrace.__version__", "99.0")
    session = Session(ray_plan(serve().url, workers=2), RayLauncher(cluster.address))
    with pytest.raises(UsageError, match=r"and this machine 99\.0 .* install the same"):
        await session.start()


async def test_a_killed_worker_process_is_replaced(cluster: Any, serve: Any) -> None:
    session = Session(
        ray_plan(serve().url, duration_s=None, workers=2), RayLauncher(cluster.address)
    )
    await session.start()
    victims = worker_processes()
    assert len(victims) == 2
    await asyncio.sleep(max(1.2 - session.elapsed_s, 0))
    os.kill(victims[0], signal.SIGKILL)
    async for interval in session.intervals():
        if len(session.problems) == 2 or interval.point.t_s > 40:
            session.stop()
    died, missing = session.problems
    assert re.fullmatch(r"load worker \d on \S+ died 1\.\d s into the run", died)
    assert "took it over" in missing


async def test_a_process_is_of_one_cluster(cluster: Any) -> None:
    connect(cluster.address)
    connect("auto")
    with pytest.raises(UsageError, match="this process uses the Ray cluster at"):
        connect("127.0.0.1:1")


async def test_the_command_prints_one_document(cluster: Any, serve: Any, tmp_path: Path) -> None:
    url = serve().url
    arguments = ("load", url, "--ray", cluster.address, "--workers", "3", "--for", "2s", "--json")
    process = await asyncio.create_subprocess_exec(
        *cli.command(*arguments, "--samples", "s.parquet"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, err.decode()
    assert out.startswith(b"{"), out
    result = msgspec.json.decode(out)
    assert result["completed"] == result["offered"] > 100
    assert sum(node["workers"] for node in result["nodes"].values()) == 3
    # The requests of all nodes are in one file, by one clock.
    samples = read_raw_samples(tmp_path / "s.parquet")
    assert len(samples) == result["offered"]
    assert set(samples["worker"]) == {0, 1, 2}
    assert 1e9 < samples["done_ns"].max() < 60e9
    text = err.decode()
    assert "nodes 2" in text or "nodes 3" in text
    # What follows the run, and nothing of Ray's.
    assert all("  target " in line for line in text.splitlines() if line), text


async def test_a_control_room_drives_a_fleet(cluster: Any, serve: Any, tmp_path: Path) -> None:
    config = ServiceConfig(
        id="far", url=serve().url, profile="60", workers=2, ray="auto", metrics_url=""
    )
    controller = Controller([config], runs_dir=tmp_path, interval_s=0.5)
    try:
        await controller.start("far")
        async with asyncio.timeout(TIMEOUT_S):
            while (point := await controller.latest("far")) is None or not point.completed:
                await asyncio.sleep(0.1)
        assert sum(node.workers for node in point.nodes.values()) == 2
        info = await controller.set_rate("far", 120)
        assert info.rate_per_s == 120
        await controller.stop("far")
    finally:
        await controller.close()


async def test_killing_the_command_ends_the_load(cluster: Any, serve: Any, tmp_path: Path) -> None:
    server = serve()
    arguments = ("load", server.url, "--ray", cluster.address, "--workers", "2", "--for", "2m")
    process = await asyncio.create_subprocess_exec(
        *cli.command(*arguments), cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    await until(lambda: len(server.arrived_ns) >= 50)
    process.kill()
    await process.wait()
    killed_ns = time.monotonic_ns()
    await until(lambda: server.arrived_ns[-1] <= time.monotonic_ns() - 2e9)
    assert server.arrived_ns[-1] < killed_ns + 4e9


@pytest.fixture
def victim(cluster: Any) -> Iterator[Any]:
    """A node that may be lost: there is another one afterwards."""
    yield cluster.worker_nodes.copy().pop()
    cluster.add_node(**node_with(2))
    cluster.wait_for_nodes()


async def test_of_a_lost_node_a_program_prints_nothing_that_it_was_not_told_to(
    cluster: Any, victim: Any, serve: Any
) -> None:
    code = (
        "import sys, tailrace\n"
        "tailrace.run(sys.argv[1], rate=50, duration='60s', workers=4, ray=sys.argv[2],"
        " progress=True)\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, serve().url, cluster.address),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stdout is not None
    await process.stderr.readline()
    await asyncio.to_thread(cluster.remove_node, victim, allow_graceful=False)
    lines = [await process.stderr.readline() for _ in range(12)]
    process.send_signal(signal.SIGINT)
    assert await process.stdout.read() == b""
    await process.wait()
    assert all(lines)


async def test_a_lost_node_is_told_and_its_share_taken_over(
    cluster: Any, victim: Any, serve: Any
) -> None:
    server = serve()
    session = Session(
        ray_plan(server.url, duration_s=None, workers=4), RayLauncher(cluster.address)
    )
    await session.start()
    points: list[Point] = []
    removed_s = told_s = 0.0
    async for interval in session.intervals():
        points.append(interval.point)
        if len(points) == 2:
            removed_s = session.elapsed_s
            await asyncio.to_thread(cluster.remove_node, victim, allow_graceful=False)
        lost = sum(node.workers == 0 for node in interval.point.nodes.values())
        if lost and not told_s:
            told_s = session.elapsed_s
        taken = sum("took it over" in problem for problem in session.problems)
        if (taken and 2 * taken == len(session.problems)) or interval.point.t_s > 50:
            session.stop()
    assert removed_s < told_s < removed_s + 5
    events = [event for point in points for event in point.events]
    deaths = [event for event in events if "was lost" in event.text]
    assert deaths
    assert all(event.t_s < removed_s + 5 for event in deaths)
    replaced = [event for event in events if "was replaced on" in event.text]
    assert len(replaced) == len(deaths)
    (node,) = {name for name, figures in points[-1].nodes.items() if figures.workers == 0}
    assert all(node in event.text for event in deaths)
    assert node.removesuffix(victim.node_id[:6]) != node
    assert points[-1].nodes[node].seen_s < removed_s + 1.5
    assert sum(figures.workers for figures in points[-1].nodes.values()) == 4
    sent = [int(body) for body in server.bodies]
    assert len(sent) == len(set(sent))
    assert not session.verdict.valid
    assert any("took it over" in reason for reason in session.verdict.reasons)
