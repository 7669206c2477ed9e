"""The original's URLs over a real server: its parameters, its meanings, and every mistake."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from tailrace.control.controller import Controller
from tailrace.control.faces import urls
from tailrace.control.faces.urls import routes
from tailrace.control.interface import ServiceConfig
from tailrace.control.limits import Limits
from tailrace.dashboard.access import Access
from tailrace.dashboard.server import serving
from tests.kit.paths import ROOT
from tests.kit.waiting import TIMEOUT_S

WITH_RATE = ("startOnlineQuery", "setIntensity")
ALL = (*WITH_RATE, "stopOnlineQuery", "goOnlineQuery")


def test_each_url_is_listed_where_people_look() -> None:
    served = {route.path for route in routes(Controller())} - {"/{name}.do"}
    assert served == {f"/{name}.do" for name in ALL}
    for page in (urls.__doc__, (ROOT / "docs/from-the-original.md").read_text("utf-8")):
        assert page is not None
        assert served == set(re.findall(r"(?m)^\| `(/\w+\.do)", page))


@pytest.fixture
async def controller(serve: Any, tmp_path: Path) -> AsyncIterator[Controller]:
    services = [ServiceConfig(id=name, url=serve().url, profile="100") for name in ("a", "b")]
    limits = Limits(max_rate_per_s=500)
    controller = Controller(services, interval_s=0.25, runs_dir=tmp_path, limits=limits)
    yield controller
    await controller.close()


@pytest.fixture
async def client(controller: Controller) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=routes(controller))
    app.add_middleware(Access)
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        serving(app, listener),
        httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S) as client,
    ):
        yield client


async def test_a_run_as_the_original_steered_it(
    client: httpx.AsyncClient, controller: Controller
) -> None:
    started = await client.get("/startOnlineQuery.do?intensity=40&serviceId=a")
    assert started.status_code == 200
    assert started.json()["id"] == "a"
    assert started.json()["state"] == "running"
    assert started.json()["rate_per_s"] == 40
    run = started.json()["run"]

    moved = (await client.get("/setIntensity.do?intensity=80&serviceId=a")).json()
    assert (moved["rate_per_s"], moved["run"]) == (80, run)
    again = (await client.get("/startOnlineQuery.do?intensity=90.5&serviceId=a")).json()
    assert (again["rate_per_s"], again["run"]) == (90.5, run)
    async with asyncio.timeout(TIMEOUT_S):
        async for update in controller.watch("a"):
            if update.point is not None and update.point.completed:
                break

    stopped = await client.get("/stopOnlineQuery.do?serviceId=a")
    assert stopped.json()["state"] == "idle"
    assert (await client.get("/stopOnlineQuery.do?serviceId=a")).status_code == 200
    assert (await controller.get("b")).state == "idle"


async def test_the_intensity_of_an_idle_service_is_that_of_the_next_start(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/setIntensity.do?intensity=70&serviceId=b")
    assert (answer.json()["state"], answer.json()["rate_per_s"]) == ("idle", 70)


async def test_going_to_a_service_is_a_redirect_to_its_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/goOnlineQuery.do?serviceId=b")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/services/b"


async def test_post_takes_a_form_or_the_address(client: httpx.AsyncClient) -> None:
    form = {"intensity": "60", "serviceId": "a"}
    assert (await client.post("/setIntensity.do", data=form)).json()["rate_per_s"] == 60
    answer = await client.post("/setIntensity.do?intensity=61&serviceId=a")
    assert answer.json()["rate_per_s"] == 61
    answer = await client.post("/setIntensity.do?intensity=61", data=form)
    assert answer.status_code == 400
    assert "intensity must be given once" in answer.json()["error"]


@pytest.mark.parametrize("name", ALL)
async def test_an_unknown_service_is_404(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/{name}.do?serviceId=nope&intensity=5")
    assert answer.status_code == 404
    assert answer.json()["type"] == "UnknownServiceError"
    assert "'nope'" in answer.json()["error"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "query", ["intensity=5", "intensity=5&serviceId=", "serviceId=a&serviceId=b"]
)
async def test_no_single_service_is_400(client: httpx.AsyncClient, name: str, query: str) -> None:
    answer = await client.get(f"/{name}.do?intensity=5&{query}")
    assert answer.status_code == 400
    assert answer.json()["type"] == "UsageError"
    assert "serviceId" in answer.json()["error"]


@pytest.mark.parametrize("name", WITH_RATE)
@pytest.mark.parametrize("value", ["", "fast", "-1", "nan", "inf", "1e999", "1,5", "5&intensity=6"])
async def test_an_odd_intensity_is_400(
    client: httpx.AsyncClient, controller: Controller, name: str, value: str
) -> None:
    for query in (f"serviceId=a&intensity={value}", "serviceId=a"):
        answer = await client.get(f"/{name}.do?{query}")
        assert answer.status_code == 400
        assert "intensity" in answer.json()["error"]
    assert (await controller.get("a")).rate_per_s == 100
    assert (await controller.get("a")).state == "idle"


@pytest.mark.parametrize("name", WITH_RATE)
async def test_the_cap_holds(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(f"/{name}.do?serviceId=a&intensity=501")
    assert answer.status_code == 403
    assert answer.json()["type"] == "NotAllowedError"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Referer": "https://example.org/page"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_sites_page_may_do_nothing(
    client: httpx.AsyncClient,
    controller: Controller,
    name: str,
    method: str,
    headers: dict[str, str],
) -> None:
    answer = await client.request(method, f"/{name}.do?serviceId=a&intensity=7", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "CrossSiteError"
    assert (await controller.get("a")).rate_per_s == 100


async def test_other_methods_and_names_are_refused_in_json(client: httpx.AsyncClient) -> None:
    answer = await client.put("/setIntensity.do?serviceId=a&intensity=5")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    answer = await client.get("/pauseOnlineQuery.do")
    assert answer.status_code == 404
    assert answer.json()["type"] == "UnknownRouteError"
