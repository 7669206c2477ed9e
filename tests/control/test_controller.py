"""The controller, driven as every face drives it, with real load."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.control.interface import StateError, UnknownServiceError, Update
from tailrace.errors import UsageError


@pytest.fixture
async def controller(serve: Any, tmp_path: Path) -> AsyncIterator[Controller]:
    services = [
        ServiceConfig(id="a", url=serve().url, profile="100"),
        ServiceConfig(id="b", url=serve().url, profile="50", name="Second", slo=("p99<10s",)),
    ]
    controller = Controller(services, window=4, interval_s=0.25, runs_dir=tmp_path)
    yield controller
    await controller.close()


async def points(controller: Controller, service_id: str, count: int) -> list[Update]:
    """The next `count` updates that carry an interval."""
    found: list[Update] = []
    async with asyncio.timeout(30):
        async for update in controller.watch(service_id):
            if update.point is not None:
                found.append(update)
            if len(found) == count:
                break
    return found


async def test_services_are_listed_in_order(controller: Controller) -> None:
    listed = await controller.list()
    assert [service.id for service in listed] == ["a", "b"]
    assert [service.name for service in listed] == ["a", "Second"]
    assert {service.state for service in listed} == {"idle"}
    assert (await controller.get("b")).rate_per_s == 50
    assert await controller.latest("a") is None
    assert (await controller.window("a")).sr_percent is None


async def test_start_watch_stop(controller: Controller) -> None:
    assert (await controller.start("a")).state == "running"
    seen = await points(controller, "a", 3)
    assert all(update.service.state == "running" for update in seen)
    latest = await controller.latest("a")
    assert latest is not None
    assert latest.index >= 2
    assert (await controller.get("b")).state == "idle"
    stopped = await controller.stop("a")
    assert stopped.state == "idle"
    result = controller.result("a")
    assert result is not None
    assert result.completed == result.offered
    assert stopped.run == result.run
    assert (Path(stopped.run or "") / "result.json").exists()


async def test_the_window_merges_its_intervals(controller: Controller) -> None:
    await controller.start("a", 400)
    await points(controller, "a", 6)
    window = await controller.window("a")
    assert window.intervals == 4 == len(window.points)
    assert window.completed == sum(point.completed for point in window.points)
    assert window.avg_rps == pytest.approx(400, rel=0.25)
    assert window.sr_percent == pytest.approx(100, abs=5)
    assert window.latency_ms.p99 is not None
    assert window.latency_ms.max == max(point.latency_ms.max or 0 for point in window.points)


async def test_the_rate_changes_while_it_runs(controller: Controller) -> None:
    await controller.start("a", 40)
    await points(controller, "a", 2)
    changed = await controller.set_rate("a", 800)
    assert changed.rate_per_s == 800
    async with asyncio.timeout(20):
        async for update in controller.watch("a"):
            if update.point is not None and update.point.rps > 600:
                assert update.service.rate_per_s == 800
                break


async def test_a_rate_set_while_idle_is_the_next_starts(controller: Controller) -> None:
    assert (await controller.set_rate("a", 321)).rate_per_s == 321
    assert (await controller.start("a")).rate_per_s == 321


async def test_a_rate_of_zero_pauses(controller: Controller) -> None:
    await controller.start("a", 200)
    await points(controller, "a", 1)
    await controller.set_rate("a", 0)
    async with asyncio.timeout(20):
        async for update in controller.watch("a"):
            if update.point is not None and update.point.sent == 0:
                break
    await controller.set_rate("a", 200)
    async with asyncio.timeout(20):
        async for update in controller.watch("a"):
            if update.point is not None and update.point.sent > 0:
                break


async def test_a_hundred_changes_a_second(controller: Controller) -> None:
    await controller.start("a", 100)
    for number in range(100):
        await controller.set_rate("a", 100 + number % 2)
        await asyncio.sleep(0.005)
    await controller.stop("a")
    result = controller.result("a")
    assert result is not None
    assert result.failed == {}
    assert result.rate.offered == pytest.approx(100, rel=0.4)


async def test_starting_twice_is_refused(controller: Controller) -> None:
    await controller.start("a")
    with pytest.raises(StateError, match="running already"):
        await controller.start("a")


async def test_a_service_can_run_again(controller: Controller) -> None:
    for _ in range(2):
        await controller.start("a")
        await points(controller, "a", 1)
        await controller.stop("a")
    await controller.stop("a")


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
async def test_unusable_rates_are_refused(controller: Controller, rate: float) -> None:
    with pytest.raises(UsageError):
        await controller.set_rate("a", rate)
    with pytest.raises(UsageError):
        await controller.start("a", rate)
    assert (await controller.get("a")).state == "idle"


async def test_unknown_services(controller: Controller) -> None:
    with pytest.raises(UnknownServiceError, match="there are: a, b"):
        await controller.get("c")
    with pytest.raises(UnknownServiceError):
        controller.watch("c")


@pytest.mark.parametrize(
    "config",
    [
        ServiceConfig(id="x", url="nonsense"),
        ServiceConfig(id="x", url="http://h/", profile="fast"),
        ServiceConfig(id="x", url="http://h/", arrivals="bursty"),
        ServiceConfig(id="x", url="http://h/", slo=("p99",)),
        ServiceConfig(id="x", url="http://h/", body=Path("absent")),
    ],
)
def test_unusable_configurations(config: ServiceConfig) -> None:
    with pytest.raises(UsageError):
        Controller([config])


def test_ids_must_differ() -> None:
    config = ServiceConfig(id="x", url="http://h/")
    with pytest.raises(UsageError, match="two services"):
        Controller([config, config])
