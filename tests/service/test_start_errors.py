"""What cannot be served is said in one line."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit import cli

Launch = Callable[..., Any]


def _error(server: Any) -> str:
    assert server.process.wait(60) in (1, 2)
    line: str = server.expect("^tailrace: error: ").string
    assert server.lines.get(timeout=60) is None, "the error is the last line"
    return line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shapse"], "did you mean shapes?"),
        (["resnet"], "there are shapes, ssd-mobilenet"),
        (["resnet50"], "--twin"),
        (["shapes", "shapes"], "twice"),
        (["ssd-mobilenet"], "--model-path"),
        (["ssd-mobilenet", "--model-path", "nowhere.onnx"], "no model file nowhere.onnx"),
        (["shapes", "--concurrency", "0"], "--concurrency is 1 or more"),
        (["shapes", "--workers", "0"], "--workers is 1 or more"),
        (["shapes", "--queue", "0"], "--queue is 1 or more"),
        (["shapes", "--intra-op", "0"], "--intra-op is 1 or more"),
        (["shapes", "--max-batch", "0"], "--max-batch is 1 or more"),
        (["shapes", "--batch-window", "soon"], "not a duration"),
        (["shapes", "--batch-window=-1ms"], "not a duration"),
        (["shapes", "--twin"], "there is none of shapes"),
        (["ssd-mobilenet", "--twin", "--model-path", "x.onnx"], "leave --model-path out"),
        (["shapes", "--runtime", "torch"], "--runtime is onnx or tensorflow"),
        (["shapes", "--runtime", "tensorflow"], "shapes has no form for --runtime tensorflow"),
        (["shapes", "--device", "tpu"], "unknown device 'tpu'"),
        (["shapes", "--port", "70000"], "--port is 0 to 65535"),
        (["shapes", "--grace", "soon"], "not a duration"),
        (["shapes", "--dataset", "nowhere"], "no folder nowhere"),
        (["shapes", "--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["shapes", "--host", "127.0.0.1.9"], "127.0.0.1.9"),
    ],
)
def test_arguments(arguments: list[str], message: str) -> None:
    ended = cli.run_here("serve", *arguments)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("tailrace: error: ")
    assert message in line


def test_port_in_use(launch: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = launch("shapes", "--port", str(port))
        assert f"port {port}" in _error(server)
        assert server.process.returncode == 1


def test_folder_without_pictures(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("none here")
    assert "no .jpg or .png" in _error(launch("shapes", "--port", "0", "--dataset", str(tmp_path)))


def test_file_that_takes_no_batches(launch: Launch, coco_model: Path) -> None:
    arguments = ("ssd-mobilenet", "--model-path", str(coco_model), "--port", "0")
    server = launch(*arguments, "--max-batch", "4")
    assert "--max-batch 4: this file of ssd-mobilenet takes 1 at a time" in _error(server)
    assert server.process.returncode == 2


def test_file_of_another_model(launch: Launch, coco_model: Path) -> None:
    server = launch("resnet50", "--model-path", str(coco_model), "--port", "0")
    assert "not resnet50: it lacks the input input_tensor:0" in _error(server)
    assert server.process.returncode == 2


def test_worker_that_dies_before_it_was_ever_ready(launch: Launch) -> None:
    server = launch("shapes", "--port", "0", "--workers", "2")
    while not (started := server.workers()):
        assert server.process.poll() is None
    os.kill(started[0], signal.SIGKILL)
    assert f"worker 1 (pid {started[0]}) died of SIGKILL before" in _error(server)
    assert server.process.returncode == 1


@pytest.mark.parametrize(("content", "workers"), [(b"", "1"), (b"not a model", "2")])
def test_file_that_is_not_onnx(
    launch: Launch, tmp_path: Path, content: bytes, workers: str
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    server = launch("ssd-mobilenet", "--model-path", str(file), "--port", "0", "--workers", workers)
    assert "not a usable ONNX model" in _error(server)
    assert server.process.returncode == 2
    assert len(server.heard) == 1
