"""What goes wrong around a control room: it goes on, says what happened, and loses no interval."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tailrace.runs.listing import list_runs
from tests.kit.server import answer_never
from tests.kit.waiting import TIMEOUT_S, await_exit

if TYPE_CHECKING:
    from tests.kit.programs import ControlRoom, LaunchRoom

pytestmark = pytest.mark.slow("starts a control room each time, and breaks something")

INTERVAL = "interval = '200ms'"
TARGET = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

ThreadingHTTPServer.daemon_threads = True
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def target() -> Iterator[Callable[..., tuple[subprocess.Popen[str], int]]]:
    """Starts an HTTP server in a process of its own, on a port if it is told one."""
    processes: list[subprocess.Popen[str]] = []

    def start(port: int = 0) -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [sys.executable, "-c", TARGET, str(port)], stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def configure(directory: Path, url: str, *more: str, room: str = INTERVAL) -> None:
    """A tailrace.toml in `directory` with the service `x`."""
    (directory / "tailrace.toml").write_text(
        "\n".join(["[room]", room, "[[service]]", "id = 'x'", f"url = '{url}'", *more])
    )


def update_of(room: ControlRoom, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first update of service x that `condition` holds of."""
    url = f"{room.url}/api/services/x/stream"
    seen = []
    with httpx.stream("GET", url, timeout=TIMEOUT_S) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:"):
                update = json.loads(line.removeprefix("data:"))
                if condition(update):
                    return dict(update)
                seen.append(update)
                assert len(seen) < 500, seen[-1]
    raise AssertionError(f"the stream ended: {room.heard}")


def completes(update: dict[str, Any]) -> bool:
    return update["point"] is not None and update["point"]["completed"] > 0


def timeline(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "timeline.jsonl").read_text().splitlines()]


def assert_whole(points: list[dict[str, Any]]) -> None:
    assert [point["index"] for point in points] == list(range(len(points)))


def children(process: subprocess.Popen[str]) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def only_run(directory: Path) -> Path:
    (run,) = (directory / "runs").iterdir()
    return run


def test_a_target_that_is_down_at_the_start_and_comes_up(
    target: Any, control_room: LaunchRoom, tmp_path: Path
) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    configure(tmp_path, f"http://127.0.0.1:{port}/", "profile = 100")
    room = control_room().ready()
    assert room.ask("POST", "/services/x/start")["state"] == "running"
    down = update_of(room, lambda update: update["point"] is not None and update["point"]["failed"])
    assert set(down["point"]["failed"]) == {"connect"}
    assert down["service"]["state"] == "running"
    target(port)
    update_of(room, completes)
    room.ask("POST", "/services/x/stop")
    points = timeline(only_run(tmp_path))
    assert_whole(points)
    result = json.loads((only_run(tmp_path) / "result.json").read_text())
    assert result["offered"] == result["completed"] + sum(result["failed"].values())


def test_a_target_that_dies_and_comes_back(
    target: Any, control_room: LaunchRoom, tmp_path: Path
) -> None:
    process, port = target()
    configure(tmp_path, f"http://127.0.0.1:{port}/", "profile = 200", "slo = 'p99<5s'")
    room = control_room().ready()
    room.ask("POST", "/services/x/start")
    update_of(room, completes)
    process.kill()
    process.wait()
    dead = update_of(
        room, lambda update: update["point"] and "connect" in update["point"]["failed"]
    )
    assert dead["service"]["state"] == "running"
    update_of(room, lambda update: update["point"] is not None and not update["point"]["completed"])
    target(port)
    update_of(room, completes)
    update_of(room, lambda update: update["point"] is not None and not update["point"]["failed"])
    room.ask("POST", "/services/x/stop")
    points = timeline(only_run(tmp_path))
    assert_whole(points)
    kinds = {kind for point in points for kind in point["failed"]}
    assert kinds <= {"connect", "reset"}
    # Nobody slowed the schedule down meanwhile.
    assert sum(point["offered"] for point in points) == sum(
        point["completed"] + sum(point["failed"].values()) for point in points
    )


@pytest.mark.smoke
def test_a_load_worker_that_is_killed(serve: Any, control_room: LaunchRoom, tmp_path: Path) -> None:
    configure(
        tmp_path, serve().url, "profile = 200", "workers = 2", "min_duration = 0", "metrics_url=''"
    )
    room = control_room().ready()
    room.ask("POST", "/services/x/start")
    update_of(room, completes)
    before = set(children(room.process))
    assert len(before) == 2
    os.kill(max(before), signal.SIGKILL)
    room.expect(r"^tailrace: error: x: load worker \d died [\d.]+ s into the run")
    said = update_of(room, lambda update: update["service"]["problems"] and completes(update))
    assert said["service"]["state"] == "running"
    assert not said["service"]["verdict"]["valid"]
    assert any("load worker" in reason for reason in said["service"]["verdict"]["reasons"])
    update_of(room, lambda update: completes(update) and len(update["service"]["problems"]) == 2)
    later = said["point"]["index"] + 3
    update_of(room, lambda update: completes(update) and update["point"]["index"] >= later)
    room.ask("POST", "/services/x/stop")
    points = timeline(only_run(tmp_path))
    assert_whole(points)
    died, replaced = (
        e["text"] for point in points for e in point["events"] if e["kind"] == "worker"
    )
    assert re.fullmatch(r"load worker \d died", died)
    assert re.fullmatch(r"load worker \d was replaced", replaced)
    result = json.loads((only_run(tmp_path) / "result.json").read_text())
    assert not result["verdict"]["valid"]
    assert result["completed"] > 0


def test_every_load_worker_is_killed(serve: Any, control_room: LaunchRoom, tmp_path: Path) -> None:
    configure(tmp_path, serve().url, "profile = 200")
    room = control_room().ready()
    room.ask("POST", "/services/x/start")
    update_of(room, completes)
    (worker,) = children(room.process)
    os.kill(worker, signal.SIGKILL)
    replaced = update_of(room, lambda update: len(update["service"]["problems"]) == 2)
    assert re.fullmatch(
        r"the share of load worker 0 is missing from \S+ s to \S+ s, when another took it over",
        replaced["service"]["problems"][1],
    )
    update_of(room, completes)
    room.ask("POST", "/services/x/stop")
    room.expect(r"^x: [\d,]+ answered in .*INVALID")
    # The service can be put under load again.
    room.ask("POST", "/services/x/start")
    again = update_of(room, completes)
    assert again["service"]["problems"] == []


@pytest.mark.parametrize("face", ["--port", "--rpc-port"])
def test_two_control_rooms_on_one_port(control_room: LaunchRoom, face: str) -> None:
    first = control_room().ready()
    port = (first.url if face == "--port" else first.rpc).rpartition(":")[2]
    second = control_room(face, port)
    line = second.expect("^tailrace: error: ").string
    assert second.process.wait(TIMEOUT_S) == 2
    assert len(second.heard) == 1
    assert f"port {port}" in line
    assert "another control room" in line
    assert first.ask("GET", "/services") == []


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tailrace-test", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a file system can be mounted by root alone: {mounted.stderr.decode()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk(
    serve: Any, small_disk: Path, control_room: LaunchRoom, tmp_path: Path
) -> None:
    configure(tmp_path, serve().url, "profile = 200", room=f"{INTERVAL}\nruns = '{small_disk}'")
    goes_on_without_a_disk(control_room().ready(), "No space left on device")
    (run,) = small_disk.iterdir()
    # What was written before is whole but for its last line.
    *lines, _last = (run / "timeline.jsonl").read_text().split("\n")
    assert_whole([json.loads(line) for line in lines])


def test_a_limit_on_the_size_of_files(serve: Any, control_room: LaunchRoom, tmp_path: Path) -> None:
    configure(tmp_path, serve().url, "profile = 200")
    goes_on_without_a_disk(control_room(preexec_fn=limit_files).ready(), "File too large")


def goes_on_without_a_disk(room: ControlRoom, reason: str) -> None:
    room.ask("POST", "/services/x/start")
    assert reason in room.expect("^tailrace: error: x: cannot write the run directory").string
    said = update_of(room, lambda update: update["service"]["problems"] and completes(update))
    assert reason in said["service"]["problems"][0]
    later = said["point"]["index"] + 5
    on = update_of(room, lambda update: completes(update) and update["point"]["index"] >= later)
    assert on["service"]["state"] == "running"
    assert room.ask("POST", "/services/x/stop")["state"] == "idle"
    assert room.ask("GET", "/services/x/window")["completed"] > 0
    room.expect(r"^x: [\d,]+ answered in")
    room.ask("GET", "/runs")
    lines = room.end()
    assert room.process.returncode == 0
    assert not any("Traceback" in line for line in lines)


def test_runs_that_cannot_be_kept(serve: Any, control_room: LaunchRoom, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the runs should go")
    configure(tmp_path, serve().url, "start = true", room="runs = 'taken'")
    room = control_room().ready()
    assert "cannot write taken" in room.expect("^tailrace: error: x: ").string
    answer = httpx.post(f"{room.url}/api/services/x/start", timeout=TIMEOUT_S)
    assert answer.status_code == 500
    assert "cannot write taken" in answer.json()["error"]
    assert room.ask("GET", "/services/x")["state"] == "idle"
    assert room.ask("GET", "/runs") == []
    (tmp_path / "taken").unlink()
    assert room.ask("POST", "/services/x/start")["state"] == "running"


def test_a_control_room_killed_mid_run(
    serve: Any, control_room: LaunchRoom, tmp_path: Path
) -> None:
    server = serve()
    configure(tmp_path, server.url, "profile = 200", "workers = 2")
    room = control_room().ready()
    room.ask("POST", "/services/x/start")
    last = update_of(room, lambda update: completes(update) and update["point"]["index"] >= 4)
    workers = children(room.process)
    assert len(workers) == 2
    room.process.kill()
    room.process.wait(TIMEOUT_S)
    for worker in workers:
        await_exit(worker)
    again = control_room().ready()
    again.expect(r"^1 run was interrupted; the finished intervals are listed at http://\S+/runs$")
    (info,) = again.ask("GET", "/runs")
    assert info["state"] == "interrupted"
    assert info["intervals"] > last["point"]["index"]
    assert info["p99_ms"] > 0
    run = again.ask("GET", f"/runs/{info['name']}")
    assert_whole(run["points"])
    assert len(run["points"]) == info["intervals"]
    assert last["point"] in run["points"]
    assert again.ask("GET", "/services/x")["state"] == "idle"
    assert again.ask("POST", "/services/x/start")["state"] == "running"


def test_a_signal_while_a_run_starts(serve: Any, control_room: LaunchRoom, tmp_path: Path) -> None:
    configure(tmp_path, serve().url, "profile = 200", "workers = 4")
    room = control_room().ready()
    starter = begin(room, "x")
    update_of(room, lambda update: update["service"]["state"] == "starting")
    lines = room.end()
    starter.join(TIMEOUT_S)
    assert room.process.returncode == 0
    assert not any("Traceback" in line for line in lines)
    assert_no_run_is_cut_short(tmp_path)


@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.3, 0.4, 0.5])
def test_a_stop_at_any_moment_of_a_start_ends_the_load(
    serve: Any, control_room: LaunchRoom, tmp_path: Path, after_s: float
) -> None:
    configure(tmp_path, serve().url, "profile = 200")
    room = control_room().ready()
    starter = begin(room, "x")
    update_of(room, lambda update: update["service"]["state"] != "idle")
    # Not to wait for anything: so far into the start, of about half a second, it is stopped.
    time.sleep(after_s)
    workers = children(room.process)
    assert room.ask("POST", "/services/x/stop")["state"] == "idle"
    starter.join(TIMEOUT_S)
    for worker in workers:
        await_exit(worker)
    assert room.ask("GET", "/services/x")["state"] == "idle"
    assert_no_run_is_cut_short(tmp_path)


def test_no_run_begins_while_it_ends(serve: Any, control_room: LaunchRoom, tmp_path: Path) -> None:
    configure(
        tmp_path, serve(answer_never).url, "profile = 50", "timeout = '3s'", "metrics_url = ''"
    )
    with (tmp_path / "tailrace.toml").open("a") as file:
        file.write(f"\n[[service]]\nid = 'y'\nurl = '{serve().url}'\n")
    room = control_room().ready()
    room.ask("POST", "/services/x/start")
    update_of(room, lambda update: update["point"] is not None and update["point"]["in_flight"] > 0)
    room.process.send_signal(signal.SIGINT)
    room.expect("stopping; waiting")
    begin(room, "y").join(TIMEOUT_S)
    room.process.wait(TIMEOUT_S)
    assert room.process.returncode == 0
    assert_no_run_is_cut_short(tmp_path)


def begin(room: ControlRoom, service: str) -> threading.Thread:
    """Ask for a run of the service, in a thread: it may be answered, refused, or cut off."""

    def start() -> None:
        with contextlib.suppress(httpx.HTTPError):
            room.ask("POST", f"/services/{service}/start")

    thread = threading.Thread(target=start)
    thread.start()
    return thread


def assert_no_run_is_cut_short(directory: Path) -> None:
    """Every run of the control room there has its result, and one that never began is no run."""
    assert [run.state for run in list_runs(directory / "runs") if run.state != "finished"] == []
