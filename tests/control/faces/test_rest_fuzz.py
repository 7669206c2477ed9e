"""Whatever is sent to REST and the original's URLs: no failure, and an answer as they describe."""

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from tailrace.control.controller import Controller
from tailrace.control.faces import rest, urls
from tailrace.control.interface import ServiceConfig
from tailrace.control.limits import LOOPBACK, Limits
from tailrace.dashboard.access import Access
from tailrace.dashboard.server import serving
from tests.kit.waiting import TIMEOUT_S

pytestmark = pytest.mark.slow("hundreds of requests made up")

# Made-up names and sizes would seldom get past the first check, or start hundreds of processes.
KNOWN: dict[str, dict[str, Any]] = {
    "id": {"enum": ["a", "nope"]},
    "serviceId": {"enum": ["a", "nope"]},
    "workers": {"enum": [1]},
    "profile": {"enum": ["20", "10..20/1s", "1..", "21"]},
    "rate": {"type": "number", "maximum": 30},
}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


def narrow(operation: dict[str, Any], known: dict[str, dict[str, Any]]) -> None:
    """Have requests made with known values; answers are still held against the whole."""
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = known.get(parameter["name"], parameter["schema"])
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        for shape in (schema, *schema.get("anyOf", ())):
            properties = shape.get("properties", {})
            properties.update({name: known[name] for name in known.keys() & properties.keys()})


async def test_every_route_keeps_to_its_description(serve: Any, tmp_path: Path) -> None:
    service = ServiceConfig(id="a", url=serve().url, profile="20")
    limits = Limits(allow=LOOPBACK, max_rate_per_s=20, bodies=tmp_path / "bodies")
    controller = Controller([service], interval_s=0.25, runs_dir=tmp_path / "runs", limits=limits)
    app = Starlette(routes=[*rest.routes(controller), *urls.routes(controller)])
    app.add_middleware(Access)
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        serving(app, listener),
        httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S) as client,
    ):
        document = (await client.get("/openapi.json")).json()
        known = {**KNOWN, "url": {"enum": [service.url, "http://192.0.2.1/", "ftp://h"]}}
        for item in document["paths"].values():
            for operation in item.values():
                narrow(operation, known)
        # The same pair of numbers, in the words of older schemas: schemathesis mixes them up.
        pair = '"prefixItems": [{"type": "number"}, {"type": "number"}], "items": false'
        text = json.dumps(document).replace(pair, '"items": {"type": "number"}')
        (tmp_path / "openapi.json").write_text(text)
        run = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            *("run", "openapi.json", "--url", base, "--mode", "all"),
            *("--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing"),
            *("--max-examples", "5", "--generation-deterministic", "--request-timeout", "30"),
            *("--exclude-path-regex", "(stream|find)$", "--no-color", "--warnings", "off"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(run.communicate(), 200)
        assert run.returncode == 0, output.decode()
        assert (await client.get("/api/services")).status_code == 200
    await controller.close()
