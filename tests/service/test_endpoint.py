"""The hot routes over HTTP, in this process, where a test can hold the inference thread."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from tailrace.http.guard import Guard
from tailrace.service.app import build
from tailrace.service.calls import Answer, Call
from tailrace.service.config import ServiceConfig
from tailrace.service.endpoint import Constant, Endpoint, Front
from tailrace.service.errors import refuse
from tailrace.service.meter import Counts, Meter, new_sheet
from tailrace.service.service import Service
from tailrace.service.stages import BATCH_WAIT, QUEUE, STAGES, StageClock
from tests.kit.waiting import TIMEOUT_S, until

HOUR_S = 3600.0


class Hold:
    """Work that keeps its thread until the gate is open."""

    rows = 1
    kind = "hold"
    outputs = ("output",)

    def __init__(self, service: Service) -> None:
        self.model = service.model("null")
        self.clock = StageClock()
        self.began = threading.Event()
        self.gate = threading.Event()

    def prepare(self) -> Mapping[str, NDArray[Any]]:
        self.began.set()
        assert self.gate.wait(TIMEOUT_S)
        return {"input": np.zeros((1, 1), np.uint8)}

    def finish(self, tensors: Sequence[NDArray[Any]]) -> None:
        pass


class Served:
    """A loaded service behind a real HTTP server."""

    def __init__(self, service: Service, url: str) -> None:
        self.service = service
        self.url = url
        self.client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S)
        self.holds: list[Hold] = []

    def hold(self) -> Hold:
        """Occupies the one thread."""
        held = Hold(self.service)
        self.holds.append(held)
        self.service.batcher.submit(held)
        assert held.began.wait(TIMEOUT_S)
        return held

    def counts(self, model: str = "null") -> Counts:
        return self.service.meter.snapshot().models[model]

    def outcomes(self, model: str = "null") -> dict[str, int]:
        return {name: count for name, count in self.counts(model).outcomes.items() if count}

    def inferred(self, model: str = "null") -> int:
        """Rows, but for those of `hold`."""
        return self.counts(model).batches.sum - sum(held.gate.is_set() for held in self.holds)

    async def waiting(self, requests: int) -> None:
        """Waits until so many are in the queue."""
        await until(lambda: self.service.batcher.waiting == requests)

    async def counted(self, outcomes: dict[str, int]) -> None:
        """Waits until requests have ended so."""
        await until(lambda: self.outcomes() == outcomes)


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@asynccontextmanager
async def _listen(app: ASGIApp) -> AsyncIterator[str]:
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None)
    config.load()
    guard = Guard(config, ServerState(), refuse)
    # asyncio spares a connection the delay of Nagle's algorithm only if its protocol is named.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        loop = asyncio.get_running_loop()
        server = await loop.create_server(guard.connect, sock=listener)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.close()


@pytest.fixture
def serve() -> Serve:
    """`serve(queue=1, …)`: the settings of a service of one thread, the null model's by default."""

    @asynccontextmanager
    async def start(load: bool = True, **settings: Any) -> AsyncIterator[Served]:
        defaults: dict[str, Any] = {"models": ("null",), "concurrency": 1}
        config = ServiceConfig(**(defaults | settings))
        sheet = new_sheet(1, config.models)
        service = Service(config, Meter(sheet, 0, config.models))
        if load:
            service.load()
            service.warm_up()
        async with _listen(build(service)) as url:
            served = Served(service, url)
            async with served.client:
                yield served
            for held in served.holds:
                held.gate.set()
            assert await asyncio.to_thread(service.batcher.close, TIMEOUT_S)

    return start


async def test_call_that_its_server_cancels_is_never_inferred(serve: Serve) -> None:
    async with serve() as served:
        held = served.hold()
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/gpu",
            "headers": [],
            "query_string": b"",
        }

        async def never(*_: Any) -> Any:
            await asyncio.Event().wait()

        call = asyncio.create_task(build(served.service)({**scope, "headers": []}, never, never))
        await served.waiting(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert served.service.batcher.waiting == 0
        assert served.outcomes() == {"client_gone": 1}
        held.gate.set()
        assert (await served.client.get("/gpu")).status_code == 200
        assert served.inferred() == 1


async def test_full_queue_is_503_with_retry_after(serve: Serve) -> None:
    async with serve(queue=2) as served:
        held = served.hold()
        posts = [asyncio.create_task(served.client.post("/predict/null")) for _ in range(2)]
        await served.waiting(2)
        for method, path in (("POST", "/predict/null"), ("GET", "/gpu"), ("POST", "/predict/null")):
            answer = await served.client.request(method, path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert "queue is full" in answer.json()["error"]
        assert not any(post.done() for post in posts)
        assert (await served.client.get("/helloworld")).status_code == 200
        assert served.outcomes() == {"queue_full": 3}
        held.gate.set()
        assert [(await post).status_code for post in posts] == [200, 200]
        assert (await served.client.post("/predict/null")).status_code == 200
        assert served.outcomes() == {"queue_full": 3, "ok": 3}
        assert served.inferred() == 3


WAITING = [{}, {"max_batch": 4, "batch_window_s": HOUR_S}]
"""Settings with which a request waits: for the thread, which is held; for the window."""


@pytest.mark.parametrize("settings", WAITING, ids=["thread", "window"])
async def test_deadline_is_answered_when_it_passes_and_never_inferred(
    serve: Serve, settings: dict[str, Any]
) -> None:
    async with serve(**settings) as served:
        if not settings:
            served.hold()
        answer = await served.client.post("/predict/null", headers={"Tailrace-Deadline-Ms": "30"})
        assert answer.status_code == 504
        assert "deadline" in answer.json()["error"]
        assert answer.elapsed.total_seconds() >= 0.029
        assert served.service.batcher.waiting == 0
        assert served.outcomes() == {"deadline": 1}
        assert served.inferred() == 0


@pytest.mark.parametrize("settings", WAITING, ids=["thread", "window"])
async def test_request_of_a_client_that_left_is_skipped(
    serve: Serve, settings: dict[str, Any]
) -> None:
    async with serve(queue=1, **settings) as served:
        held = None if settings else served.hold()
        _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(served.url).port)
        writer.write(b"GET /gpu HTTP/1.1\r\nHost: x\r\n\r\n")
        await served.waiting(1)
        writer.close()
        await served.counted({"client_gone": 1})
        assert served.service.batcher.waiting == 0
        if held is not None:
            # Its place is free again, and the thread is still held.
            post = asyncio.create_task(served.client.post("/predict/null"))
            await served.waiting(1)
            held.gate.set()
            assert (await post).status_code == 200
        assert served.inferred() == (held is not None)


@pytest.mark.parametrize("text", ["0", "-1", "-1e300", "0.000001"])
async def test_deadline_that_is_over(serve: Serve, text: str) -> None:
    async with serve() as served:
        answer = await served.client.post("/predict/null", headers={"Tailrace-Deadline-Ms": text})
        assert answer.status_code == 504
        assert served.outcomes() == {"deadline": 1}
        assert served.inferred() == 0


@pytest.mark.parametrize("text", ["60000", "1e300", "5e5"])
async def test_deadline_that_is_far(serve: Serve, text: str) -> None:
    async with serve() as served:
        for path in ("/predict/null", "/gpu"):
            method = "GET" if path == "/gpu" else "POST"
            headers = {"Tailrace-Deadline-Ms": text}
            assert (await served.client.request(method, path, headers=headers)).status_code == 200
        assert served.outcomes() == {"ok": 2}


@pytest.mark.parametrize("text", ["soon", "", "nan", "inf", "-inf", "1e400", "1 s"])
async def test_deadline_that_is_no_number(serve: Serve, text: str) -> None:
    async with serve() as served:
        answer = await served.client.post("/predict/null", headers={"Tailrace-Deadline-Ms": text})
        assert answer.status_code == 400
        assert "Tailrace-Deadline-Ms" in answer.json()["error"]
        assert served.outcomes() == {"bad_request": 1}


def durations_ms(answer: httpx.Response) -> dict[str, float]:
    """The stages in Server-Timing, in their order."""
    found = re.findall(r"([a-z-]+);dur=(\d+\.\d{4})", answer.headers["Server-Timing"])
    assert answer.headers["Server-Timing"].count(";") == len(found)
    return {stage: float(text) for stage, text in found}


async def test_stages_add_up_to_what_the_client_waits(serve: Serve) -> None:
    shares = [0.0]
    async with serve() as served:
        await served.client.post("/predict/null")
        # What is missing is the client's own time and the kernel's; that may be long now and then.
        while shares[-1] < 0.99:
            assert len(shares) <= 10, shares
            held = served.hold()
            threading.Timer(0.5, held.gate.set).start()
            began_s = time.perf_counter()
            answer = await served.client.post("/predict/null", content=bytes(100_000))
            took_ms = (time.perf_counter() - began_s) * 1e3
            stages = durations_ms(answer)
            assert list(stages) == list(STAGES)
            assert sum(stages.values()) <= took_ms
            assert stages["queue"] == max(stages.values())
            shares.append(sum(stages.values()) / took_ms)
        counts = served.counts()
        assert sum(stage.sum for stage in counts.stages.values()) == counts.total.sum
        assert sum(counts.total.counts) == len(shares)


async def test_waiting_for_a_batch_is_its_own_stage(serve: Serve) -> None:
    async with serve() as served:
        assert durations_ms(await served.client.get("/gpu"))[STAGES[BATCH_WAIT]] == 0
    async with serve(max_batch=2, batch_window_s=0.05) as served:
        stages = durations_ms(await served.client.get("/gpu"))
        assert stages[STAGES[BATCH_WAIT]] >= 49
        assert stages[STAGES[QUEUE]] < stages[STAGES[BATCH_WAIT]]
    async with serve(max_batch=2, batch_window_s=HOUR_S) as served:
        # Two make it full.
        both = await asyncio.gather(*(served.client.get("/gpu") for _ in range(2)))
        assert [answer.status_code for answer in both] == [200, 200]
        assert served.counts().batches.counts[:2] == [0, 1]


async def test_not_ready_is_counted(serve: Serve) -> None:
    async with serve(load=False) as served:
        for method, path in (("POST", "/predict/null"), ("GET", "/gpu")):
            answer = await served.client.request(method, path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert served.outcomes() == {"not_ready": 2}


async def test_stopping_answers_what_waits(serve: Serve) -> None:
    async with serve() as served:
        held = served.hold()
        post = asyncio.create_task(served.client.post("/predict/null"))
        await served.waiting(1)
        assert not await asyncio.to_thread(served.service.batcher.close, 0.0)
        assert (await post).status_code == 503
        assert (await served.client.post("/predict/null")).status_code == 503
        assert served.outcomes() == {"not_ready": 2}
        held.gate.set()


async def test_bad_and_failed_requests_are_told_apart(
    serve: Serve, tmp_path: Path, jpeg: bytes
) -> None:
    (tmp_path / "one.jpg").write_bytes(jpeg)
    async with serve(models=("shapes", "null"), dataset=tmp_path) as served:
        client = served.client
        assert (await client.post("/predict/shapes", content=jpeg)).status_code == 200
        for content, status in ((b"", 400), (b"GIF89a", 415), (jpeg[:-1], 400)):
            answer = await client.post("/predict/shapes", content=content)
            assert answer.status_code == status
        assert (await client.post("/predict/shapes?threshold=x")).status_code == 400
        assert served.outcomes("shapes") == {"ok": 1, "bad_request": 4}
        (tmp_path / "one.jpg").write_bytes(b"")
        assert (await client.get("/gpu")).status_code == 500
        assert served.outcomes("shapes") == {"ok": 1, "bad_request": 4, "failed": 1}
        # Pictures that cannot be read are not inferred.
        assert served.inferred("shapes") == 1
        assert (await client.get("/gpu?model=nope")).status_code == 404
        assert served.outcomes() == {}


async def test_a_fault_of_the_services_own_is_500_and_counted(serve: Serve) -> None:
    async def broken(_: Call) -> Answer:
        raise ZeroDivisionError

    async def whole(_: Call) -> Answer:
        return Answer(b"whole")

    async with serve() as served, contextlib.AsyncExitStack() as stack:
        routes = {
            ("GET", "/broken"): Endpoint(served.service, broken, lambda _: "null"),
            ("GET", "/whole"): Endpoint(served.service, whole, lambda _: "null"),
        }
        url = await stack.enter_async_context(_listen(Front(routes, Constant(Answer(b"behind")))))
        for path, status, text in (
            ("broken", 500, "Internal Server Error"),
            ("whole", 200, "whole"),
            ("broken/", 200, "behind"),
        ):
            answer = await served.client.get(f"{url}/{path}")
            assert (answer.status_code, answer.text) == (status, text)
            assert ("Server-Timing" in answer.headers) == (path == "whole")
        assert (await served.client.post(f"{url}/whole")).text == "behind"
        assert served.outcomes() == {"failed": 1, "ok": 1}


async def test_constant_is_whole(serve: Serve) -> None:
    async with serve() as served:
        for _ in range(3):
            answer = await served.client.get("/helloworld")
            assert (answer.text, answer.headers["Content-Length"]) == ("hello world", "11")
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert served.outcomes() == {}


async def test_every_request_is_counted_once(serve: Serve) -> None:
    async with serve(queue=3, max_batch=3) as served:
        deadlines = [{}, {"Tailrace-Deadline-Ms": "1"}, {"Tailrace-Deadline-Ms": "x"}]
        limits = httpx.Limits(max_connections=60)
        async with httpx.AsyncClient(limits=limits, timeout=TIMEOUT_S) as client:
            answers = await asyncio.gather(
                *(
                    client.post(f"{served.url}/predict/null", headers=deadlines[i % 3])
                    for i in range(300)
                )
            )
        by_status = {
            status: sum(answer.status_code == status for answer in answers)
            for status in (200, 400, 503, 504)
        }
        assert sum(by_status.values()) == 300
        found = served.counts().outcomes
        assert [found[name] for name in ("ok", "bad_request", "queue_full", "deadline")] == list(
            by_status.values()
        )
        assert by_status[400] == 100
        assert served.inferred() == by_status[200]
        assert math.isclose(sum(served.counts().total.counts), by_status[200])
