"""Who may ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

TOKEN = "s3cret-täst"


@pytest.fixture
def guarded(launch: Callable[..., Any]) -> str:
    url: str = launch("shapes", "--port", "0", "--host", "0.0.0.0", token=TOKEN).start().url
    return url.replace("0.0.0.0", "127.0.0.1")


def test_requests_need_the_token_but_health_does_not(guarded: str, jpeg: bytes) -> None:
    right = {b"Authorization": f"Bearer {TOKEN}".encode()}
    with httpx.Client(base_url=guarded, timeout=60) as client:
        for path in ("/helloworld", "/gpu", "/v2", "/docs", "/openapi.json", "/nope"):
            refused = client.get(path)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert "Bearer" in refused.json()["error"]
        assert client.post("/predict/shapes", content=jpeg).status_code == 401
        for wrong in ("Bearer", "Bearer wrong", TOKEN.encode(), f"Basic {TOKEN}".encode()):
            assert client.get("/helloworld", headers={"Authorization": wrong}).status_code == 401
        assert client.get("/v2/health/live").status_code == 200
        assert client.get("/v2/health/ready").status_code == 200
        assert client.get("/helloworld", headers=right).status_code == 200
        assert client.post("/predict/shapes", content=jpeg, headers=right).status_code == 200


def test_public_address_demands_a_token(launch: Callable[..., Any]) -> None:
    for host in ("0.0.0.0", "::"):
        server = launch("shapes", "--port", "0", "--host", host)
        assert "TAILRACE_TOKEN" in server.expect("error")[0] or "TAILRACE_TOKEN" in server.heard[-1]
        assert server.process.wait(60) == 2


def test_loopback_needs_none(launch: Callable[..., Any]) -> None:
    url = launch("shapes", "--port", "0", "--host", "localhost").start().url
    assert httpx.get(f"{url}/helloworld", timeout=60).status_code == 200
