"""What the demonstration of LoadGen over the network sends, and what it takes for an answer."""

from __future__ import annotations

import array
import base64
import json
import re
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import mlperf_loadgen as lg
import pytest
import requests

from tests.kit.waiting import TIMEOUT_S


def _predicted(url: str, query: Any) -> bytes:
    # The demonstration's client, step by step.
    answer = requests.post(f"{url}/predict/", json={"query": query}, timeout=TIMEOUT_S)
    return array.array("B", answer.json()["result"].encode("utf-8")).tobytes()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_null_answers_any_query(launch: Callable[..., Any]) -> None:
    url = launch("null", "--port", "0").start().url
    for query in ("what_is_my_dummy_feature_17?", "", "ü", 3, None, {"a": [1]}, "####"):
        assert json.loads(_predicted(url, query)) == {"model": "null", "detections": []}
    name = requests.post(f"{url}/getname/", timeout=TIMEOUT_S).json()["name"]
    port = url.rpartition(":")[2]
    assert name == f"Tailrace null Network SUT {socket.gethostname()}:{port}"
    assert requests.get(f"{url}/getname/", timeout=TIMEOUT_S).json() == {"name": name}


def test_a_picture_is_answered_as_predict_does(
    client: httpx.Client, draw: Callable[..., bytes]
) -> None:
    pictures = [draw(1_000_050 + i, suffix) for i, suffix in enumerate((".jpg", ".png") * 3)]
    wanted = [client.post("/predict/shapes", content=data).content for data in pictures]
    url = str(client.base_url).rstrip("/")
    with ThreadPoolExecutor(6) as threads:
        found = threads.map(lambda data: _predicted(url, _base64(data)), pictures)
        assert list(found) == wanted


def test_stages_are_timed(client: httpx.Client, jpeg: bytes) -> None:
    answer = client.post("/predict/", json={"query": _base64(jpeg), "more": 1})
    stages = dict(re.findall(r"([\w-]+);dur=(\d+\.\d+)", answer.headers["Server-Timing"]))
    assert float(stages["decode"]) > 0
    assert float(stages["infer"]) > 0


def test_loadgen_itself_as_the_demonstration_drives_it(
    launch: Callable[..., Any], tmp_path: Path
) -> None:
    """A thread a query, a new connection each, names asked over the network."""
    url = launch("null", "--port", "0").start().url
    settings = lg.TestSettings()
    settings.scenario = lg.TestScenario.Server
    settings.mode = lg.TestMode.PerformanceOnly
    settings.server_target_qps = 100
    settings.server_target_latency_ns = 1_000_000_000
    settings.min_query_count = 50
    settings.min_duration_ms = 500
    output = lg.LogOutputSettings()
    output.outdir = str(tmp_path)
    logs = lg.LogSettings()
    logs.log_output = output
    logs.enable_trace = False

    def ask(queries: list[lg.QuerySample]) -> None:
        responses, kept = [], []
        for query in queries:
            answer = array.array("B", _predicted(url, f"feature {query.index}"))
            kept.append(answer)
            responses.append(lg.QuerySampleResponse(query.id, *answer.buffer_info()))
        lg.QuerySamplesComplete(responses)

    def issue(queries: list[lg.QuerySample]) -> None:
        threading.Thread(target=ask, args=[queries], daemon=True).start()

    def name() -> str:
        answer: str = requests.post(f"{url}/getname/", timeout=TIMEOUT_S).json()["name"]
        return answer

    sut = lg.ConstructQDL(issue, lambda: None, name)
    samples = lg.ConstructQSL(64, 64, lambda _: None, lambda _: None)
    lg.StartTestWithLogSettings(sut, samples, settings, logs, "")
    lg.DestroyQSL(samples)
    lg.DestroyQDL(sut)
    summary = (tmp_path / "mlperf_log_summary.txt").read_text()
    assert f"SUT name : Tailrace null Network SUT {socket.gethostname()}:" in summary
    assert "Performance constraints satisfied : Yes" in summary
    assert "Min queries satisfied : Yes" in summary


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, 'not {"query": …} in JSON'),
        (b"[]", 400, "Expected `object`"),
        (b"{}", 400, "required field `query`"),
        (b'{"query": NaN}', 400, "malformed"),
        (b'{"query": ' + b"[" * 100_000, 400, "recursion"),
        (b'{"query": ""}', 400, "no picture in base64"),
        (b'{"query": 5}', 415, "no picture in base64"),
        (b'{"query": "text"}', 415, "no picture in base64"),
        (b'{"query": "\\u00ff"}', 415, "no picture in base64"),
        (b'{"query": "/9j/4A=="}', 400, "truncated"),
        (b'{"query": "\xff"}', 415, "no picture in base64"),
        (bytes(33 * 2**20), 413, "too long"),
    ],
)
def test_refused(client: httpx.Client, body: bytes, status: int, message: str) -> None:
    answer = client.post("/predict/", content=body)
    assert answer.status_code == status, answer.text
    assert re.search(message, answer.json()["error"])


def test_two_nodes_have_names_of_their_own(launch: Callable[..., Any]) -> None:
    servers = [launch("null", "--port", "0") for _ in range(2)]
    names = {httpx.get(f"{server.start().url}/getname/").json()["name"] for server in servers}
    assert len(names) == 2
    assert all("Network SUT" in name for name in names)
