"""The examples do what they say, against a real control room and a real server."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tailrace.control.config_file import read_config
from tests.kit import cli

if TYPE_CHECKING:
    from tests.kit.programs import LaunchRoom

EXAMPLES = Path(__file__).parents[1] / "examples"
FAST_S, SLOW_S = 0.01, 0.02
SLOW_FROM = 800


class OneServer:
    """Answers one request at a time, a queue whose tail grows without bound as the rate nears what
    it can do: 100 a second, from request SLOW_FROM on 50."""

    def __init__(self) -> None:
        self._free_at = 0.0

    async def __call__(self, number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + (FAST_S if number < SLOW_FROM else SLOW_S)
        await asyncio.sleep(self._free_at - now)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.mark.alone("finds the rate that a server keeps")
def test_a_rate_is_found_that_holds_an_slo(
    serve: Any, control_room: LaunchRoom, tmp_path: Path
) -> None:
    bound_ms, first = 250.0, 15.0
    config = tmp_path / "tailrace.toml"
    config.write_text(
        "room = {port = 0, rpc_port = 0}\n"
        f"[[service]]\nid = 'queue'\nurl = '{serve(OneServer()).url}'\nmetrics_url = ''\n"
    )
    room = control_room("--config", str(config)).ready()
    finished = subprocess.run(
        [
            *(sys.executable, str(EXAMPLES / "hold_slo.py"), "queue", "--room", room.rpc),
            *("--p99-ms", str(bound_ms), "--rate", str(first), "--step", "5"),
            *("--seconds", "48"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"the last \d+ s: p99 [\d.]+ ms", finished.stdout)
    (info,) = room.ask("GET", "/runs")
    points = room.ask("GET", f"/runs/{info['name']}")["points"]
    # Every change is a mark in the timeline: up while there was room, down when there was less.
    texts = [event["text"] for p in points for event in p["events"] if event["kind"] == "rate"]
    rates = [float(text.removesuffix("/s")) for text in texts]
    assert max(rates) > 4 * first
    assert any(later < earlier for earlier, later in pairwise(rates))
    offering = [point for point in points if point["target_per_s"] > 0]
    last = offering[len(offering) * 2 // 3 :]
    assert sum((p["latency_ms"]["p99"] or 1e9) < bound_ms for p in last) > len(last) / 2
    mean = sum(point["qps"] for point in last) / len(last)
    assert 1.2 * first < mean < 1 / SLOW_S


def test_the_example_explains_itself() -> None:
    told = subprocess.run(
        [sys.executable, str(EXAMPLES / "hold_slo.py"), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "--p99-ms" in told.stdout
    assert "example: hold_slo.py" in told.stdout


def test_without_a_control_room_it_says_so() -> None:
    finished = subprocess.run(
        [sys.executable, str(EXAMPLES / "hold_slo.py"), "x", "--room", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("hold_slo.py: no control room answers at 127.0.0.1:1")
    assert finished.stderr.count("\n") == 1


def _variants() -> list[str]:
    """The example configuration as it is, and once for each key that is commented out, with it."""
    text = (EXAMPLES / "tailrace.toml").read_text()
    variants = [text]
    for match in re.finditer(r"(?m)^# (\w+) = .*", text):
        key, whole = match[1], re.sub(r"(?m)^# ", "", match[0])
        head, tail = text[: match.start()], text[match.end() :]
        head = head.replace("# cert_file", "cert_file") if key == "key_file" else head
        if key.startswith("tls_"):
            tail = tail.replace("# tls_key", "tls_key")
            head = head.replace("# tls_cert", "tls_cert")
        start, section, service = head.rpartition("[[service]]")
        # A key that is there already is said in another way here.
        variants.append(start + section + re.sub(rf"(?m)^{key} = .*", "", service) + whole + tail)
    return variants


@pytest.mark.parametrize("text", _variants())
def test_the_example_configuration_can_be_used(tmp_path: Path, text: str) -> None:
    for name in ("pictures", "room.pem", "room.key", "ca.pem", "client.pem", "client.key"):
        (tmp_path / name).touch()
    path = tmp_path / "tailrace.toml"
    path.write_text(text)
    assert [service.id for service in read_config(path).services] == ["hello", "shapes"]


def test_parts_of_a_run_are_added_up(serve: Any, tmp_path: Path) -> None:
    server = serve()
    runs = [tmp_path / f"part-{index}" for index in range(2)]
    for index, run in enumerate(runs):
        cli.run(
            *("load", server.url, "--rate", "200"),
            *("--for", "1s", "--part", f"{index}/2", "--out", str(run)),
            check=True,
        )
    merged = [sys.executable, str(EXAMPLES / "merge_parts.py")]
    finished = subprocess.run(
        [*merged, *map(str, runs)], capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    assert f"2 parts: completed {len(server.bodies):,}, failed 0" in finished.stdout
    worst = [json.loads((run / "result.json").read_text())["latency_ms"]["max"] for run in runs]
    (last,) = re.findall(r"p100 +([\d.]+) ms", finished.stdout)
    # Up to the width of a bucket.
    assert float(last) == pytest.approx(max(worst), rel=2e-3, abs=0.01)
    lacking = subprocess.run([*merged, str(runs[1])], capture_output=True, text=True, timeout=60)
    assert lacking.returncode == 1
    assert "these are parts 1/2" in lacking.stderr
