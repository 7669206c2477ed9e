"""Whatever is sent to any route: no failure of the service, and an answer as /openapi.json says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.slow("hundreds of requests made up")

# Made-up names would seldom get past the first check.
KNOWN: dict[str, dict[str, Any]] = {
    "model": {"enum": ["shapes", "null", "nope"]},
    "version": {"enum": ["1", "2"]},
}
KNOWN_OF_TENSORS: dict[str, dict[str, Any]] = {
    "name": {"enum": ["input", "image_tensor:0"]},
    "datatype": {"enum": ["UINT8", "FP32", "BYTES"]},
    "shape": {"type": "array", "items": {"enum": [1, 2, 300]}, "minItems": 2, "maxItems": 2},
    "data": {"type": "array", "items": {"type": "integer"}, "maxItems": 4},
}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
)
# 503 and 504 say that the service will not answer now.
SETTINGS = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503", "504"]
"""


@pytest.fixture(scope="module")
def description(shapes_server: Any) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{shapes_server.url}/openapi.json").json()
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = KNOWN.get(parameter["name"], parameter["schema"])
    for path in ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer"):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        body["schema"]["properties"]["inputs"]["items"]["properties"] |= KNOWN_OF_TENSORS
    return document


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_route_keeps_to_its_description(
    shapes_server: Any, description: dict[str, Any], tmp_path: Path, mode: str
) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(description))
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    run = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("run", "openapi.json", "--url", shapes_server.url, "--mode", mode),
            *("--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing"),
            *("--max-examples", "60", "--generation-deterministic", "--request-timeout", "60"),
            *("--no-color", "--warnings", "off"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    routes = [route for path in description["paths"].values() for route in path.values()]
    assert f"Tested: {len(routes)}\n" in run.stdout, run.stdout
    if mode == "negative":
        # Nothing wrong can be sent to a route that takes nothing.
        taking = [route for route in routes if {"parameters", "requestBody"} & route.keys()]
        assert f" {len(taking)} passed" in run.stdout, run.stdout
    assert httpx.get(f"{shapes_server.url}/v2/health/ready").status_code == 200
