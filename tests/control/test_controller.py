"""The controller, driven as every face drives it, with real load."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tailrace.control.config import ServiceConfig
from tailrace.control.controller import Controller
from tailrace.control.interface import (
    NotAllowedError,
    StateError,
    UnknownRunError,
    UnknownServiceError,
    Update,
)
from tailrace.control.limits import LOOPBACK, Limits
from tailrace.errors import UsageError
from tests.kit.server import answer_raw, http
from tests.kit.waiting import TIMEOUT_S


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
    async with asyncio.timeout(TIMEOUT_S):
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
    assert window.sr_percent == pytest.approx(100 * window.avg_qps / window.avg_rps, abs=0.1)
    assert window.latency_ms.p99 is not None
    assert window.latency_ms.max == max(point.latency_ms.max or 0 for point in window.points)


async def test_the_rate_changes_while_it_runs(controller: Controller) -> None:
    await controller.start("a", 40)
    await points(controller, "a", 2)
    changed = await controller.set_rate("a", 800)
    assert changed.rate_per_s == 800
    async with asyncio.timeout(TIMEOUT_S):
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
    async with asyncio.timeout(TIMEOUT_S):
        async for update in controller.watch("a"):
            if update.point is not None and update.point.sent == 0:
                break
    await controller.set_rate("a", 200)
    async with asyncio.timeout(TIMEOUT_S):
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


async def test_a_start_may_be_stopped_before_it_begins(controller: Controller) -> None:
    starting = asyncio.create_task(controller.start("a"))
    await asyncio.sleep(0)
    assert (await controller.get("a")).state == "starting"
    await controller.stop("a")
    with pytest.raises(StateError, match="stopped before it began"):
        await starting
    assert (await controller.start("a")).state == "running"


async def test_a_start_whose_caller_goes_away_leaves_it_idle(controller: Controller) -> None:
    starting = asyncio.create_task(controller.start("a"))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (await controller.get("a")).state == "idle"


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


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"id": "two words"}, "id: must be up to 64"),
        ({"id": "../up"}, "id: must be up to 64"),
        ({"name": "x" * 201}, "name: must be one line of up to 200 characters"),
        ({"name": "\u202e[/red]\x1b[2J"}, "name: must be one line"),
        ({"workers": 0}, "workers"),
        ({"workers": 8, "connections": 4}, "connections"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"duration_s": -1.0}, "duration_s"),
        ({"min_duration_s": float("inf")}, "min_duration_s"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"timeout_s": 1e300}, "timeout_s"),
        ({"slo": ("p0<1s",)}, "percentile"),
        ({"slo": ("p99<100",)}, "no unit"),
        ({"slo": ("p99<15s",), "timeout_s": 10.0}, "timeout_s: 10 s .* p99<15s, 15 s"),
        ({"method": ""}, "method"),
        ({"url": "http://h:0/"}, "port 0"),
        ({"url": f"http://{'a' * 64}/"}, "name of a host"),
        ({"url": "http://a..b/"}, "name of a host"),
        ({"body": Path("a" * 5000)}, "cannot read"),
        ({"body": Path("a\0b")}, "cannot read"),
        ({"body": Path("x"), "text": "x"}, "one of them"),
        ({"method": "GET IT"}, "method"),
        ({"headers": {"X": "a\r\nY: b"}}, "header"),
    ],
)
async def test_a_service_that_cannot_be_is_refused(
    controller: Controller, setting: dict[str, Any], message: str
) -> None:
    config = msgspec.structs.replace(ServiceConfig(id="x", url="http://127.0.0.1/"), **setting)
    with pytest.raises(UsageError, match=message):
        await controller.add(config)
    assert len(await controller.list()) == 2


async def test_services_come_change_and_go(controller: Controller, serve: Any) -> None:
    seen: list[tuple[str, str, float]] = []

    async def watch() -> None:
        async for update in controller.watch():
            if update.point is None:
                service = update.service
                seen.append((service.id, service.state, service.rate_per_s))
                if service.state == "removed":
                    return

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    server = serve()
    config = ServiceConfig(id="c", url=server.url, profile="30", text="picture {{counter}}")
    added = await controller.add(config)
    assert (added.method, added.state, added.rate_per_s) == ("POST", "idle", 30)
    assert [service.id for service in await controller.list()] == ["a", "b", "c"]
    assert await controller.config("c") == config
    with pytest.raises(StateError, match="already"):
        await controller.add(config)

    changed = await controller.change(msgspec.structs.replace(config, profile="60", name="C"))
    assert (changed.name, changed.rate_per_s) == ("C", 60)
    await controller.start("c")
    for act in (controller.change(config), controller.remove("c")):
        with pytest.raises(StateError, match="running: stop it"):
            await act
    await points(controller, "c", 2)
    await controller.stop("c")
    assert b"picture 0" in server.bodies  # beside requests for /metrics, which have none

    await controller.remove("c")
    with pytest.raises(UnknownServiceError):
        await controller.get("c")
    with pytest.raises(UnknownServiceError):
        await controller.change(config)
    async with asyncio.timeout(TIMEOUT_S):
        await watching
    assert next(entry for entry in seen if entry[0] == "c") == ("c", "idle", 30)
    assert seen[-1][:2] == ("c", "removed")


async def test_a_profile_set_while_it_runs_begins_at_once(controller: Controller) -> None:
    await controller.start("a", 10)
    await points(controller, "a", 1)
    changed = await controller.set_profile("a", "400@30s,10")
    assert (changed.profile, changed.rate_per_s) == ("400@30s,10", 400)
    async with asyncio.timeout(TIMEOUT_S):
        async for update in controller.watch("a"):
            if update.point is not None and update.point.rps > 300:
                break
    assert (await controller.config("a")).profile == "400@30s,10"
    await controller.stop("a")
    record = await controller.run(Path((await controller.get("a")).run or "").name)
    events = [event for point in record.points for event in point.events]
    assert [(event.kind, event.text) for event in events][:2] == [
        ("profile", "400@30s,10"),
        ("stop", "stop"),
    ]


async def test_a_profile_that_cannot_be_read_changes_nothing(controller: Controller) -> None:
    with pytest.raises(UsageError):
        await controller.set_profile("a", "100..")
    assert (await controller.get("a")).profile == "100"


async def test_the_cap_and_the_list_of_targets_hold_for_everything(
    serve: Any, tmp_path: Path
) -> None:
    limits = Limits(allow=LOOPBACK, max_rate_per_s=500, bodies=tmp_path)
    config = ServiceConfig(id="a", url=serve().url, profile="100")
    controller = Controller([config], interval_s=0.25, runs_dir=tmp_path, limits=limits)
    replace = msgspec.structs.replace
    for config_ in (
        replace(config, id="b", url="http://192.0.2.1/"),
        replace(config, id="b", metrics_url="http://192.0.2.1/metrics"),
        replace(config, id="b", profile="100..501/60s"),
        replace(config, id="b", body=Path("/etc/passwd")),
        replace(config, id="b", profile="trace(/etc/passwd)"),
        replace(config, id="b", arrivals="trace:/etc/passwd"),
    ):
        with pytest.raises(NotAllowedError):
            await controller.add(config_)
    with pytest.raises(NotAllowedError, match="501"):
        await controller.set_rate("a", 501)
    with pytest.raises(NotAllowedError):
        await controller.set_profile("a", "sine(mean=400,amp=200,period=2m)")
    with pytest.raises(NotAllowedError):
        await controller.start("a", 1000)
    assert (await controller.get("a")).state == "idle"
    assert (await controller.start("a", 500)).rate_per_s == 500
    with pytest.raises(NotAllowedError):
        await controller.set_rate("a", 600)
    assert (await controller.get("a")).rate_per_s == 500
    await controller.close()


async def test_runs_are_listed(controller: Controller) -> None:
    assert await controller.runs() == ()
    await controller.start("a")
    await points(controller, "a", 1)
    (running,) = await controller.runs()
    assert running.state == "running"
    await controller.stop("a")
    (finished,) = await controller.runs()
    assert (finished.state, finished.name) == ("finished", running.name)
    record = await controller.run(finished.name)
    assert record.result is not None
    assert record.info == finished
    assert sum(point.completed for point in record.points) == record.result.completed
    with pytest.raises(UnknownRunError):
        await controller.run("../" + finished.name)


def test_ids_must_differ() -> None:
    config = ServiceConfig(id="x", url="http://h/")
    with pytest.raises(UsageError, match="two services"):
        Controller([config, config])


async def test_what_ended_a_run_is_in_its_result(controller: Controller) -> None:
    await controller.start("a", 100)
    await points(controller, "a", 2)
    await controller.stop("a")
    result = controller.result("a")
    assert result is not None
    assert result.ended_by == "stop"
    (info,) = await controller.runs()
    assert info.ended_by == "stop"


async def test_a_hopeless_run_ends_itself(controller: Controller, serve: Any) -> None:
    config = ServiceConfig(
        id="x", url=serve(answer_raw(http(b"", 503))).url, abort_on=("failed>50%@500ms",)
    )
    await controller.add(config)
    await controller.start("x", 50)
    async with asyncio.timeout(TIMEOUT_S):
        await controller.finished("x")
    result = controller.result("x")
    assert result is not None
    assert result.ended_by == "abort-on"
    assert (await controller.get("x")).state == "idle"


async def told(controller: Controller) -> str:
    """All that any face could show of the services."""
    everything = [
        (info, await controller.config(info.id), await controller.window(info.id))
        for info in await controller.list()
    ]
    return repr((everything, await controller.runs()))


async def test_credentials_of_a_url_are_sent_and_never_told(serve: Any, tmp_path: Path) -> None:
    server = serve()
    url = server.url.replace("//", "//user:s3cret@")
    basic = b"Authorization: Basic dXNlcjpzM2NyZXQ=\r\n"
    config = ServiceConfig(id="a", url=url, metrics_url=f"{url}metrics", profile="100")
    controller = Controller([config], interval_s=0.25, runs_dir=tmp_path)
    await controller.start("a")
    await points(controller, "a", 3)
    await controller.stop("a")
    assert {head.split()[1] for head in server.heads} == {b"/", b"/metrics"}
    assert all(basic in head or basic.lower() in head for head in server.heads)
    text = await told(controller)
    assert server.url in text
    assert "s3cret" not in text
    assert "user" not in text
    for file in tmp_path.rglob("*.*"):
        assert b"s3cret" not in file.read_bytes()
        assert b"dXNlcjpzM2NyZXQ" not in file.read_bytes()
    await controller.close()


async def test_a_change_keeps_the_credentials_that_nobody_was_told(
    serve: Any, tmp_path: Path
) -> None:
    server, other = serve(), serve()
    config = ServiceConfig(id="a", url=server.url.replace("//", "//u:p@"), metrics_url="")
    controller = Controller([config], interval_s=0.25, runs_dir=tmp_path)
    told_config = await controller.config("a")
    assert told_config.url == server.url
    await controller.change(msgspec.structs.replace(told_config, profile="200"))
    await controller.start("a")
    await points(controller, "a", 1)
    await controller.stop("a")
    assert all(b"Authorization: Basic dTpw\r\n" in head for head in server.heads)
    # Another place is not told them.
    await controller.change(msgspec.structs.replace(told_config, url=other.url))
    await controller.start("a")
    await points(controller, "a", 1)
    await controller.stop("a")
    assert other.heads
    assert not any(b"uthorization" in head for head in other.heads)
    await controller.close()


async def test_a_link_out_of_the_folder_is_refused_wherever_it_is(
    serve: Any, tmp_path: Path
) -> None:
    bodies = tmp_path / "bodies"
    (bodies / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (bodies / "own").write_text("own")
    (bodies / "sub/link").symlink_to("../own")
    controller = Controller(limits=Limits(bodies=bodies), runs_dir=tmp_path / "runs")
    config = ServiceConfig(id="a", url=serve().url)
    await controller.add(msgspec.structs.replace(config, body=bodies / "sub"))
    (bodies / "sub/out").symlink_to(tmp_path / "secret")
    (bodies / "door").symlink_to(tmp_path)
    for name in ("sub/out", "sub", ".", "door/secret", "door"):
        with pytest.raises(NotAllowedError, match=rf"bodies/?{name}?.* may not be sent"):
            await controller.add(msgspec.structs.replace(config, id="b", body=bodies / name))
    await controller.close()


async def test_text_that_is_json_is_sent_as_json(serve: Any, tmp_path: Path) -> None:
    server = serve()
    configs = [
        ServiceConfig(id="a", url=server.url, text='{"a": 1}', metrics_url=""),
        ServiceConfig(id="b", url=server.url, text="a: 1", metrics_url=""),
    ]
    controller = Controller(configs, interval_s=0.25, runs_dir=tmp_path)
    for service_id in "ab":
        await controller.start(service_id)
        await points(controller, service_id, 1)
        await controller.stop(service_id)
    await controller.close()
    kinds = {
        (body, next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Type")))
        for head, body in zip(server.heads, server.bodies, strict=True)
    }
    assert kinds == {
        (b'{"a": 1}', b"Content-Type: application/json"),
        (b"a: 1", b"Content-Type: text/plain; charset=utf-8"),
    }


async def test_the_cap_holds_for_what_is_sent(serve: Any, tmp_path: Path) -> None:
    server = serve()
    config = ServiceConfig(
        id="a",
        url=server.url,
        profile="100",
        seed=592,
        arrivals="mmpp:low=1,high=1000000,low_for=500000,high_for=5000",
        metrics_url="",
        workers=2,
    )
    limits = Limits(max_rate_per_s=100)
    controller = Controller([config], limits=limits, interval_s=0.5, runs_dir=tmp_path)
    await controller.start("a")
    seen = await points(controller, "a", 5)
    assert "denser than the cap of 100/s" in " ".join((await controller.get("a")).problems)
    await controller.set_rate("a", 0)
    await points(controller, "a", 1)
    # What was held back does not come after the change.
    assert [update.point.offered for update in await points(controller, "a", 2)] == [0, 0]
    await controller.stop("a")
    await controller.close()
    # Half a second's lateness of this machine included.
    assert 200 <= sum(update.point.offered for update in seen) <= 350
    assert not controller.result("a").verdict.valid
