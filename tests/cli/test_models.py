"""`tailrace models` as its user meets it; what it fetches comes from a proxy on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.models import zoo
from tests.kit import cli
from tests.kit.files import FileServer, tar_gz
from tests.kit.terminal import drained, watched
from tests.kit.waiting import TIMEOUT_S

CONTENT = random.Random(3).randbytes(300_000)
MEMBER = "ssd_mobilenet_v1_coco_2018_01_28/frozen_inference_graph.pb"
URL = (
    "http://download.tensorflow.org/models/object_detection/ssd_mobilenet_v1_coco_2018_01_28.tar.gz"
)
FETCH = ("fetch", "ssd-mobilenet", "--runtime", "tensorflow")
CLOSED = "http://127.0.0.1:9"


@pytest.fixture
def proxy() -> Iterator[FileServer]:
    """An HTTP proxy that has the archive."""
    proxy = FileServer({URL: tar_gz({MEMBER: CONTENT})})
    yield proxy
    proxy.close()


@pytest.fixture
def environment(tmp_path: Path, proxy: FileServer) -> dict[str, str]:
    left = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return {
        **left,
        "TAILRACE_CACHE": str(tmp_path / "cache"),
        "http_proxy": proxy.url,
        "https_proxy": CLOSED,
    }


def run_models(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    # Proxies are those of when the first address was opened.
    run = cli.run if arguments[0] == "fetch" else cli.run_here
    return run("models", *arguments, env=environment)


def test_list_is_a_table(environment: dict[str, str]) -> None:
    listed = run_models(environment, "list")
    assert listed.returncode == 0, listed.stderr
    header, *rows = listed.stdout.splitlines()
    assert header.split()[0] == "name"
    by_name = {row.split()[0]: row for row in rows}
    assert by_name["shapes"].rstrip().endswith("embedded")
    for told in ("detection", "FP32 3x1200x1200", "20.0 M", "433.0", "100 ms", "mAP 0.1980"):
        assert told in by_name["ssd-resnet34"]
    assert "twin available" in by_name["ssd-resnet34"]
    assert "needs file" in by_name["retinanet"]
    assert "top-1 0.7570" in by_name["resnet50"]


def test_list_for_programs(environment: dict[str, str]) -> None:
    listed = run_models(environment, "list", "--json")
    assert listed.returncode == 0, listed.stderr
    entries = {entry["name"]: entry for entry in json.loads(listed.stdout)}
    for name, availability in (
        ("shapes", "embedded"),
        ("ssd-mobilenet", "twin available"),
        ("ssd-resnet34", "twin available"),
        ("resnet50", "twin available"),
        ("mobilenet", "needs file"),
        ("retinanet", "needs file"),
        ("null", "needs none"),
    ):
        assert entries[name]["availability"] == availability
    assert entries["ssd-resnet34"]["flop"] == 433e9
    assert entries["ssd-resnet34"]["server_latency_ms"] == {"v0.5 to v2.0": 100.0}
    assert [form["origin"] for form in entries["ssd-resnet34"]["formats"]] == [
        *("PyTorch", "TensorFlow", "TensorFlow")
    ]
    shown = run_models(environment, "show", "ssd-resnet34", "--json")
    assert json.loads(shown.stdout) == entries["ssd-resnet34"]


def test_show_tells_all(environment: dict[str, str]) -> None:
    shown = run_models(environment, "show", "resnet50")
    assert shown.returncode == 0, shown.stderr
    for told in (
        *("ResNet-50 v1.5", "25.6 M parameters, 8.2 GFLOP", "reference 0.7646", "0.7570"),
        *("15 ms, Server scenario, MLPerf Inference v0.5 on", "input_tensor:0: FP32 3x224x224"),
        *("https://zenodo.org/record/4735647/files/resnet50_v1.onnx", "ArgMax:0"),
        *("f6a4da60cd5f084d97efc2c1ddb10beb", "--runtime tensorflow, from TensorFlow"),
        *("any batch", "of the onnx format from TensorFlow: built when first served"),
        "tailrace models fetch resnet50 && tailrace serve resnet50",
        "tailrace serve resnet50 --twin    # answers are meaningless",
    ):
        assert told in shown.stdout
    assert "tailrace serve shapes" in run_models(environment, "show", "shapes").stdout


def test_fetched_over_the_network(
    environment: dict[str, str], proxy: FileServer, tmp_path: Path
) -> None:
    fetched = run_models(environment, *FETCH)
    assert fetched.returncode == 0, fetched.stderr
    file = tmp_path / "cache/models/ssd-mobilenet/frozen_inference_graph.pb"
    assert fetched.stdout == f"{file}\n"
    assert fetched.stderr == f"fetching {URL}\n"
    assert file.read_bytes() == CONTENT
    assert proxy.asked == [URL]
    assert proxy.ranges_asked_for == [None]

    entry = json.loads(run_models(environment, "show", "ssd-mobilenet", "--json").stdout)
    assert entry["availability"] == "fetched"
    assert entry["formats"][0]["file"]["size_bytes"] is None
    told = entry["formats"][1]["file"]
    assert (told["url"], told["member"], told["path"]) == (URL, MEMBER, str(file))
    assert told["size_bytes"] == len(CONTENT)
    assert told["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    shown = run_models(environment, "show", "ssd-mobilenet").stdout
    assert f"{file}, 300,000 bytes" in shown
    assert f"{told['sha256']}, when it was fetched" in shown
    assert "\n  tailrace serve ssd-mobilenet --runtime tensorflow\n" in shown

    again = run_models(environment, *FETCH)
    assert (again.returncode, again.stdout) == (0, f"{file}\n")
    assert again.stderr == "it is there already\n"
    assert len(proxy.asked) == 1


def test_ctrl_c_leaves_what_came_to_go_on_with(
    environment: dict[str, str], proxy: FileServer
) -> None:
    proxy.hold_at = 150_000
    terminal, stderr = pty.openpty()
    process = cli.start(
        *("models", *FETCH), env={**environment, "TERM": "xterm", "COLUMNS": "100"}, stderr=stderr
    )
    os.close(stderr)
    seen = b""
    while b"150.0/300." not in seen:  # of kB: the archive is a little larger than its file
        seen += os.read(terminal, 4096)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=TIMEOUT_S)
    last = drained(terminal)
    assert process.returncode == 130
    assert out == ""
    assert last.endswith(b"tailrace: stopped; run the same command again to go on\r\n")
    assert b"Traceback" not in seen + last

    proxy.hold_at = None
    resumed = run_models(environment, *FETCH)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr == f"fetching {URL}\ngoing on after 150,000 bytes\n"
    assert Path(resumed.stdout.strip()).read_bytes() == CONTENT
    assert proxy.ranges_asked_for == [None, "bytes=150000-"]


@pytest.mark.parametrize(
    ("name", "said", "files"),
    [
        ("shapes", "shapes needs no fetching: it comes with this package\n", ["shapes.onnx"]),
        ("null", "null needs no fetching: it has no file\n", []),
    ],
)
def test_what_needs_no_fetching(
    environment: dict[str, str], proxy: FileServer, name: str, said: str, files: list[str]
) -> None:
    fetched = run_models(environment, "fetch", name)
    assert fetched.returncode == 0
    assert fetched.stderr == said
    assert [Path(line).name for line in fetched.stdout.splitlines()] == files
    assert all(Path(line).is_file() for line in fetched.stdout.splitlines())
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("fetch", "ssd-mobilnet"), 2, "did you mean ssd-mobilenet?"),
        (("show", "bert"), 2, "there is no model 'bert': there are shapes,"),
        (
            ("fetch", "retinanet", "--runtime", "tensorflow"),
            2,
            "retinanet has no form for --runtime tensorflow: it has onnx",
        ),
        (
            ("fetch", "resnet50", "--origin", "pytorch"),
            2,
            "resnet50 for onnx does not come from pytorch but from TensorFlow",
        ),
        (
            ("fetch", "ssd-resnet34", "--origin", "tensorflow"),
            1,
            (
                "cannot reach zenodo.org (Connection refused); fetch "
                "https://zenodo.org/record/4735664/files/ssd_resnet34_mAP_20.2.onnx elsewhere"
            ),
        ),
        (("fetch", "resnet50", "--runtime", "abacus"), 2, "abacus"),
    ],
)
def test_errors_are_one_line(
    environment: dict[str, str], arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    finished = run_models(environment, *arguments)
    assert finished.returncode == code
    assert finished.stdout == ""
    assert complaint in finished.stderr.splitlines()[-1]
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("name", ["list", "show", "fetch"])
def test_help_has_an_example(environment: dict[str, str], name: str) -> None:
    assert f"tailrace models {name}" in run_models(environment, name, "--help").stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, tailrace.cli.models; print({'cv2', 'numpy', 'rich.progress'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("columns", [80, 120])
def test_the_list_has_every_name_whole_in_a_terminal(columns: int, tmp_path: Path) -> None:
    _, screens = watched(cli.command("models", "list"), columns, tmp_path, stdout_too=True)
    rows = screens[-1]
    assert max(map(len, rows)) <= columns
    begun = {row.split(" ")[0] for row in rows}
    assert {spec.name for spec in zoo.SPECS} < begun
    assert not any("…" in row for row in rows)
