"""One suite for every face: the controller itself, and each kind of client of its servers."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import tailrace
from tailrace.control.client import SyncControl
from tailrace.control.config import ServiceConfig
from tailrace.control.interface import (
    LoadControl,
    NotAllowedError,
    SearchProgress,
    ServiceGoneError,
    ServiceInfo,
    StateError,
    UnknownRunError,
    UnknownServiceError,
    Update,
)
from tailrace.errors import TailraceError, UsageError
from tailrace.runs.directory import write_search
from tailrace.runs.listing import list_searches
from tests.kit.samples import FOUND
from tests.kit.waiting import TIMEOUT_S, until

if TYPE_CHECKING:
    from tests.control.conftest import Room

OTHER = pytest.mark.slow("the same transport and the same kind of client are among the others")
KINDS = (
    "local",
    "rest",
    "rpc-sync",
    pytest.param("rpc", marks=OTHER),
    pytest.param("rest-sync", marks=OTHER),
)


class Awaited:
    """A SyncControl as a LoadControl: each call in a thread, as the servers need this one."""

    def __init__(self, control: SyncControl) -> None:
        self._control = control

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._control, name)
        return lambda *given, **named: asyncio.to_thread(method, *given, **named)

    def watch(self, service_id: str | None = None) -> AsyncIterator[Update]:
        return self._iterate(self._control.watch(service_id))

    def find(self, *given: Any) -> AsyncIterator[SearchProgress]:
        return self._iterate(self._control.find(*given))

    async def _iterate(self, items: Any) -> AsyncIterator[Any]:
        try:
            while (item := await asyncio.to_thread(next, items, None)) is not None:
                yield item
        finally:
            await asyncio.to_thread(items.close)


@pytest.fixture(params=KINDS)
async def face(request: pytest.FixtureRequest, room: "Room") -> AsyncIterator[Any]:
    kind: str = request.param
    if kind == "local":
        yield room.controller
        return
    address = room.rest if kind.startswith("rest") else room.rpc
    if kind.endswith("sync"):
        with tailrace.connect_sync(address) as control:
            yield Awaited(control)
            # Not on this thread, which the servers answer on.
            await asyncio.to_thread(control.close)
        return
    async with tailrace.connect(address) as remote:
        yield remote


async def first_update(
    face: LoadControl, wanted: Callable[[Update], bool], of: str | None
) -> Update:
    """The first update of `of` that is wanted."""
    async with asyncio.timeout(TIMEOUT_S):
        updates = face.watch(of)
        async for update in updates:
            if wanted(update):
                await updates.aclose()  # type: ignore[attr-defined]
                return update
    raise AssertionError("the stream ended")


async def next_intervals(face: LoadControl, service_id: str, count: int) -> list[Update]:
    """The first `count` updates with an interval."""
    found: list[Update] = []

    def enough(update: Update) -> bool:
        if update.point is not None:
            found.append(update)
        return len(found) == count

    await first_update(face, enough, service_id)
    return found


def test_a_remote_control_is_a_load_control() -> None:
    """For mypy, which checks the assignment; nothing is sent."""
    controls: list[LoadControl] = [
        tailrace.connect("127.0.0.1:2222"),
        tailrace.connect("http://127.0.0.1:8080"),
    ]
    names = {name for name in vars(LoadControl) if not name.startswith("_")}
    for control in (*controls, SyncControl):
        assert all(callable(getattr(control, name)) for name in names)


async def test_services_are_listed(face: LoadControl, room: "Room") -> None:
    listed = await face.list()
    assert listed == await room.controller.list()
    assert [service.id for service in listed] == ["a", "b"]
    assert await face.get("b") == listed[1]
    assert listed[1].name == "Second"
    assert listed[1].slo == ("p99<10s",)
    assert await face.latest("a") is None
    assert await face.window("a") == await room.controller.window("a")
    assert await face.runs() == ()


async def test_services_come_change_and_go(face: LoadControl, room: "Room", tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"picture")
    config = ServiceConfig(
        id="new-1.x",
        url=room.target,
        name="Nëw ☃",
        method="PUT",
        headers={"X-One": "1", "X-Two": "zwei"},
        body=body,
        arrivals="constant",
        profile="10..200/30s,50",
        duration_s=12.5,
        slo=("p99<100ms", "mean<20ms"),
        abort_on=("failed>50%@10s",),
        seed=2**63 - 1,
        workers=2,
        connections=77,
        timeout_s=0.5,
        min_duration_s=0.0,
        verify=False,
        metrics_url="",
    )
    added = await face.add(config)
    assert added.state == "idle"
    assert added == await room.controller.get("new-1.x")
    assert await face.config("new-1.x") == config == await room.controller.config("new-1.x")

    plain = ServiceConfig(id="new-1.x", url=room.target)
    assert (await face.change(plain)).name == "new-1.x"
    assert await face.config("new-1.x") == plain

    await face.remove("new-1.x")
    assert [service.id for service in await face.list()] == ["a", "b"]


async def test_a_run_is_started_steered_read_and_stopped(face: LoadControl, room: "Room") -> None:
    started = await face.start("a", 80)
    assert started.state == "running"
    assert started.rate_per_s == 80

    seen = await next_intervals(face, "a", 2)
    assert [update.service.id for update in seen] == ["a", "a"]
    assert (await face.set_rate("a", 400)).rate_per_s == 400
    await first_update(face, lambda u: u.point is not None and u.point.target_per_s == 400, "a")
    changed = await face.set_profile("a", "300@5m, 100")
    assert changed.profile == "300@5m, 100"
    await first_update(face, lambda u: u.point is not None and u.point.target_per_s == 300, "a")

    stopped = await face.stop("a")
    assert stopped.state == "idle"
    assert stopped == await room.controller.get("a")
    latest, window = await face.latest("a"), await face.window("a")
    assert latest is not None
    assert latest == await room.controller.latest("a")
    assert window == await room.controller.window("a")
    assert window.points[-1] == latest
    assert window.intervals == 4
    assert window.avg_99th_ms is not None

    (info,) = await face.runs()
    assert (info,) == await room.controller.runs()
    assert info.state == "finished"
    record = await face.run(info.name)
    assert record == await room.controller.run(info.name)
    assert record.result is not None
    assert sum(point.completed for point in record.points) == record.result.completed
    assert record.result.confidence_ms.keys() >= {"p50", "p99"}


async def test_the_three_answers_on_a_run_are_told_by_every_face(
    face: LoadControl, room: "Room"
) -> None:
    slo = "p99<10s"
    await face.change(ServiceConfig(id="b", url=room.target, slo=(slo,), mlperf=True))
    await face.start("b", 200)
    seen = await first_update(face, lambda u: u.service.verdict is not None, "b")
    assert seen.service.decisions[slo].outcome == "undecided"
    stopped, window = await face.stop("b"), await face.window("b")
    (info,) = await face.runs()
    result = (await face.run(info.name)).result
    assert result is not None
    for told in (stopped, window, info, result):
        # So short a run decides it neither way, and says how much longer would.
        assert told.decisions[slo].outcome == "undecided"
        assert told.decisions[slo].needed_s is not None
    for said in (stopped, info, result):
        assert said.verdict == result.verdict
        assert said.mlperf is not None
        assert not said.mlperf.official
    assert stopped.missing == (result.decisions[slo].reason,)


async def test_a_run_is_named_and_deleted_and_so_is_a_search(
    face: LoadControl, room: "Room", tmp_path: Path
) -> None:
    assert await face.searches() == ()
    write_search(tmp_path / "runs" / "s", FOUND)
    run = Path((await face.start("a")).run or "").name
    with pytest.raises(StateError, match="in progress"):
        await face.delete_run(run)
    await face.stop("a")
    for name in (run, "s"):
        await face.label_run(name, title="ü <b>")
        await face.label_run(name, note="two\nlines")
    for found in (*await face.runs(), *await face.searches()):
        assert (found.title, found.note) == ("ü <b>", "two\nlines")
    assert await face.searches() == await room.controller.searches()
    assert isinstance(await refusal(face.label_run(run, title="x" * 201)), UsageError)
    for name in (run, "s"):
        await face.delete_run(name)
    assert (*await face.runs(), *await face.searches()) == ()
    assert isinstance(await refusal(face.delete_run(run)), UnknownRunError)


async def test_a_search_is_followed_and_stopped(face: LoadControl, room: "Room") -> None:
    seen: list[SearchProgress] = []
    states = set()
    async with asyncio.timeout(TIMEOUT_S):
        async for now in face.find("a", ("p99<9s", "mean<9s")):
            states.add((await room.controller.get("a")).state)
            if now.found.steps and not any(before.found.steps for before in seen):
                update = await first_update(room.controller, lambda _: True, "a")
                assert update.search is not None
                assert update.search.found.steps == now.found.steps
                with pytest.raises(StateError, match="a search has service 'a'"):
                    await face.set_rate("a", 5)
                await face.stop("a")
            seen.append(now)
    assert states == {"running", "idle"}
    assert [now.is_over for now in seen[-2:]] == [False, True]
    found = seen[-1].found
    assert (found.ended_by, found.slos) == ("stop", ("p99<9s", "mean<9s"))
    assert found.curve[0].rate_per_s == 10
    (info,) = await face.searches()
    assert (info.rate_per_s, info.ended_by) == (found.rate_per_s, "stop")
    assert (await face.start("a", 20)).state == "running"
    await face.stop("a")


async def test_a_search_to_which_nobody_listens_ends(
    face: LoadControl, room: "Room", tmp_path: Path
) -> None:
    progress = face.find("a", ("p99<9s",))
    await anext(progress)
    await progress.aclose()
    await until(lambda: bool(list_searches(tmp_path / "runs")))
    await room.controller.finished("a")
    assert (await face.get("a")).state == "idle"
    (info,) = await face.searches()
    assert info.ended_by == "stop"


async def test_a_search_of_a_service_that_is_gone_says_so(face: LoadControl, room: "Room") -> None:
    await room.controller.add(ServiceConfig(id="gone", url="http://127.0.0.1:9/"))
    seen: list[SearchProgress] = []
    gone = await refusal(find_one(face, "gone", then=seen.append))
    assert isinstance(gone, ServiceGoneError)
    assert "nothing answers at http://127.0.0.1:9/" in str(gone)
    assert seen[-1].is_over
    assert seen[-1].found.ended_by == "error"
    assert str(gone) in seen[-1].found.reason


async def test_all_services_are_watched_at_once(face: LoadControl, room: "Room") -> None:
    seen: list[Update] = []

    def gone(update: Update) -> bool:
        seen.append(update)
        return update.service.id == "c" and update.service.state == "removed"

    watching = asyncio.create_task(first_update(face, gone, None))
    await until(lambda: len(seen) >= 2)
    assert [update.service.id for update in seen] == ["a", "b"]
    await room.controller.add(ServiceConfig(id="c", url=room.target))
    await until(lambda: seen[-1].service.id == "c")
    await room.controller.remove("c")
    await watching


async def test_a_watch_ends_with_its_service(face: LoadControl, room: "Room") -> None:
    await room.controller.add(ServiceConfig(id="c", url=room.target))
    states = []
    async with asyncio.timeout(TIMEOUT_S):
        async for update in face.watch("c"):
            states.append(update.service.state)
            if len(states) == 1:
                await room.controller.remove("c")
    assert states == ["idle", "removed"]


async def watch_one(face: LoadControl) -> None:
    async for _ in face.watch("x"):
        pass


async def find_one(
    face: LoadControl,
    service_id: str,
    *given: Any,
    then: Callable[[SearchProgress], object] = lambda _: None,
) -> None:
    async for now in face.find(service_id, *given):
        then(now)


def config(**changes: Any) -> ServiceConfig:
    return ServiceConfig(**{"id": "x", "url": "http://127.0.0.1:1/", **changes})


REFUSALS: dict[str, tuple[Callable[[Any], Awaitable[Any]], type[TailraceError]]] = {
    "get": (lambda face: face.get("x"), UnknownServiceError),
    "get, odd characters": (lambda face: face.get("ü ?#%&+"), UnknownServiceError),
    "config": (lambda face: face.config("x"), UnknownServiceError),
    "change": (lambda face: face.change(config()), UnknownServiceError),
    "remove": (lambda face: face.remove("x"), UnknownServiceError),
    "start": (lambda face: face.start("x"), UnknownServiceError),
    "stop": (lambda face: face.stop("x"), UnknownServiceError),
    "set_rate": (lambda face: face.set_rate("x", 1), UnknownServiceError),
    "set_profile": (lambda face: face.set_profile("x", "1"), UnknownServiceError),
    "latest": (lambda face: face.latest("x"), UnknownServiceError),
    "window": (lambda face: face.window("x"), UnknownServiceError),
    "watch": (watch_one, UnknownServiceError),
    "find": (lambda face: find_one(face, "x"), UnknownServiceError),
    "find, bad SLO": (lambda face: find_one(face, "a", ("p99",)), UsageError),
    "find, no rate": (lambda face: find_one(face, "a", ("max<1s",)), UsageError),
    "find, no time": (lambda face: find_one(face, "a", (), 1.0), UsageError),
    "find, too slow": (lambda face: find_one(face, "a", (), 60.0, 0.01), UsageError),
    "run": (lambda face: face.run("x"), UnknownRunError),
    "label": (lambda face: face.label_run("x", title="t"), UnknownRunError),
    "delete": (lambda face: face.delete_run("x"), UnknownRunError),
    "add, id taken": (lambda face: face.add(config(id="a")), StateError),
    "add, bad id": (lambda face: face.add(config(id="no spaces")), UsageError),
    "add, bad address": (lambda face: face.add(config(url="nonsense")), UsageError),
    "add, bad profile": (lambda face: face.add(config(profile="1..2")), UsageError),
    "add, bad SLO": (lambda face: face.add(config(slo=("p99",))), UsageError),
    "add, bad seed": (lambda face: face.add(config(workers=-1)), UsageError),
    "add, far away": (lambda face: face.add(config(url="http://192.0.2.1/")), NotAllowedError),
    "add, too fast": (lambda face: face.add(config(profile="1..6000/9s")), NotAllowedError),
    "add, secret": (lambda face: face.add(config(body=Path("/etc/passwd"))), NotAllowedError),
    "start, negative": (lambda face: face.start("a", -1), UsageError),
    "start, too fast": (lambda face: face.start("a", 5001), NotAllowedError),
    "set_rate, negative": (lambda face: face.set_rate("a", -0.5), UsageError),
    "set_rate, too fast": (lambda face: face.set_rate("a", 1e9), NotAllowedError),
    "set_profile, unreadable": (lambda face: face.set_profile("a", "100,,5"), UsageError),
    "set_profile, long": (lambda face: face.set_profile("a", "x" * 300), UsageError),
    "set_profile, too fast": (lambda face: face.set_profile("a", "9999"), NotAllowedError),
}


async def test_refusals_are_the_same_everywhere(face: LoadControl, room: "Room") -> None:
    before = await room.controller.list()
    for name, (ask, kind) in REFUSALS.items():
        here, there = await refusal(ask(room.controller)), await refusal(ask(face))
        assert isinstance(here, kind), name
        assert isinstance(there, kind), name
        assert str(there) == str(here), name
    assert await room.controller.list() == before


async def refusal(answer: Awaitable[Any]) -> TailraceError:
    with pytest.raises(TailraceError) as caught:
        await answer
    return caught.value


async def test_rates_that_are_no_numbers(face: LoadControl) -> None:
    for rate in (math.nan, math.inf, -math.inf):
        assert isinstance(await refusal(face.set_rate("a", rate)), UsageError), rate
        assert isinstance(await refusal(face.start("a", rate)), UsageError), rate
    assert (await face.get("a")).state == "idle"


async def test_names_that_are_paths_name_nothing(face: LoadControl) -> None:
    for name in ("", ".", "..", "a/config", "../runs", "%2e%2e", "a\0"):
        assert isinstance(await refusal(face.get(name)), UnknownServiceError), name
        assert isinstance(await refusal(face.run(name)), UnknownRunError), name


async def test_what_a_running_service_refuses(face: LoadControl) -> None:
    assert (await face.set_rate("a", 123.5)).rate_per_s == 123.5
    # Without a rate it takes the service's own.
    assert (await face.start("a")).rate_per_s == 123.5
    change = config(id="a")
    for asked in (
        lambda: face.start("a"),
        lambda: face.change(change),
        lambda: face.remove("a"),
        lambda: find_one(face, "a"),
    ):
        with pytest.raises(StateError, match="running"):
            await asked()
    await face.stop("a")
    assert (await face.stop("a")).state == "idle"


async def test_each_face_sees_what_another_changed(room: "Room") -> None:
    async with tailrace.connect(room.rest) as rest, tailrace.connect(room.rpc) as rpc:
        faces: list[LoadControl] = [room.controller, rest, rpc]
        for number, changing in enumerate(faces):
            told = [asyncio.create_task(_until_rate(face, 10 + number)) for face in faces]
            changed = await changing.set_rate("a", 10 + number)
            for face in faces:
                assert await face.get("a") == changed
            async with asyncio.timeout(TIMEOUT_S):
                assert await asyncio.gather(*told) == [changed] * len(faces)


async def _until_rate(face: LoadControl, rate_per_s: float) -> ServiceInfo:
    update = await first_update(face, lambda update: update.service.rate_per_s == rate_per_s, "a")
    return update.service
