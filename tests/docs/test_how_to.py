"""The how-to pages do what they say: their programs are run as they stand, and what comes of them
is sent to real servers."""

from __future__ import annotations

import ast
import asyncio
import base64
import csv
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tailrace.control.config_file import read_config
from tailrace.load.schedule.trace import ArrivalCounts, Timestamps
from tailrace.load.schedule.trace_file import read_trace
from tests.docs.markdown import DOCS, ROOT, blocks, read
from tests.kit.peer import Asked, Peer
from tests.kit.pictures import scene_bytes
from tests.kit.programs import ServerProcess
from tests.kit.server import http

pytestmark = pytest.mark.slow("runs what the how-tos say")

SERVERS = DOCS / "how-to/other-servers.md"
TRACE = DOCS / "how-to/production-trace.md"
MODEL = DOCS / "how-to/your-own-model.md"
CONTROLLER = DOCS / "how-to/own-controller.md"
VERDICT = DOCS / "how-to/reading-a-verdict.md"
PYTHON = DOCS / "how-to/python.md"


def _run_python(script: str, folder: Path, *arguments: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _shell(command: str, folder: Path) -> dict[str, Any]:
    """What a `tailrace load` of a page says; how fast the machine is does not count."""
    command = command.rstrip().replace("p99<100ms", "p99<60s").replace("--for 30s", "--for 1s")
    bash = shutil.which("bash")
    assert bash is not None
    # The very command of this environment.
    defined = f'tailrace() {{ "{sys.executable}" -m tailrace "$@"; }}\n'
    ran = subprocess.run(
        [bash, "-c", f"{defined}{command} --json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    process = ServerProcess("shapes", "--port", "0")
    try:
        yield process.start()
    finally:
        process.close()


def test_a_notebook(serve: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cell by cell, as IPython runs them; what takes long is cut short."""
    url = serve().url
    short = {
        "http://127.0.0.1:5000/gpu": url,
        "10s": "1s",
        "60s": "10s",
        "p99<100ms": "p99<60s",
        "> 100": "> 6e4",
    }

    async def play(cells: list[str]) -> dict[str, Any]:
        names: dict[str, Any] = {}
        for cell in cells:
            for long, brief in short.items():
                cell = cell.replace(long, brief)
            code = compile(cell, str(PYTHON), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if (waiting := eval(code, names)) is not None:
                await waiting
        return names

    names = asyncio.run(play(list(blocks(PYTHON, "python"))))
    assert set(names["sweep"]) == {50, 100, 200}
    assert names["table"]["completed"].sum() > 100
    assert len(names["samples"]) == names["result"].offered
    assert (names["wait_ms"] <= names["first_byte_ms"]).all()
    assert (names["first_byte_ms"] <= names["latency_ms"]).all()
    assert [event.kind for point in names["run"].result.timeline for event in point.events] == [
        "profile",
        "stop",
    ]
    assert names["found"].rate_per_s == pytest.approx(100, rel=0.1)
    assert "asked for" in capsys.readouterr().out


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which each program of the page on servers has run."""
    folder = tmp_path_factory.mktemp("bodies")
    (folder / "picture.jpg").write_bytes(scene_bytes(1_000_001))
    for script in blocks(SERVERS, "python"):
        _run_python(script, folder)
    return folder


def _loads(page: Path) -> list[str]:
    """The `tailrace load` commands of a page."""
    texts = [code.text for code in read(page)[0] if not code.inline and not code.language]
    return [text for text in texts if text.startswith("tailrace load")]


@pytest.mark.parametrize(
    "name", [pytest.param("oip.json", marks=pytest.mark.smoke), "oip.bin", "tensor.bin"]
)
def test_bodies_of_the_open_inference_protocol(
    server: ServerProcess, bodies: Path, name: str
) -> None:
    tensor = (bodies / "oip.bin").read_bytes()[-300 * 300 * 3 :]
    (bodies / "tensor.bin").write_bytes(tensor)
    commands = [text for text in _loads(SERVERS) if f"--body {name}" in text]
    command = next(text for text in commands if "INGRESS" not in text)
    command = command.replace("http://HOST:8000", server.url).replace("MODEL", "shapes")
    result = _shell(command, bodies)
    assert result["completed"] == result["offered"] > 20
    assert not result["failed"]
    assert result["stages_ms"]["infer"]["p50"] > 0


def test_a_host_header_takes_the_place_of_the_urls(bodies: Path) -> None:
    """As KServe's ingress wants it."""
    (command,) = [text for text in _loads(SERVERS) if "INGRESS" in text]

    async def answer(asked: Asked) -> bytes:
        return http({})

    ingress = Peer(answer, {})
    try:
        result = _shell(command.replace("http://INGRESS", ingress.url), bodies)
    finally:
        ingress.kill()
    assert result["completed"] == len(ingress.asked) > 20
    for asked in ingress.asked:
        assert asked.path == "/v2/models/MODEL/infer"
        assert asked.headers["Host"] == "NAME.NAMESPACE.example.com"
        assert asked.headers["Content-Type"] == "application/json"
        assert asked.body == (bodies / "oip.json").read_bytes()


def test_the_configuration_for_a_control_room(bodies: Path) -> None:
    (text,) = blocks(SERVERS, "toml")
    (bodies / "tailrace.toml").write_text(text)
    (service,) = read_config(bodies / "tailrace.toml").services
    length = (bodies / "oip.length").read_text()
    assert service.headers == {"Inference-Header-Content-Length": length}
    assert service.metrics_url == "http://10.0.0.5:8002/metrics"


def test_both_forms_ask_for_the_same(server: ServerProcess, bodies: Path) -> None:
    url = f"{server.url}/v2/models/shapes/infer"
    length = (bodies / "oip.length").read_text()
    as_json = httpx.post(url, content=(bodies / "oip.json").read_bytes(), timeout=60)
    binary = httpx.post(
        url,
        content=(bodies / "oip.bin").read_bytes(),
        headers={"Inference-Header-Content-Length": length},
        timeout=60,
    )
    found = {output["name"]: output for output in as_json.json()["outputs"]}
    end = int(binary.headers["Inference-Header-Content-Length"])
    rest = memoryview(binary.content)[end:]
    for output in json.loads(binary.content[:end])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        values = np.frombuffer(rest[:size], "<f4")
        np.testing.assert_allclose(values, np.ravel(found[output["name"]]["data"]), atol=1e-4)
        rest = rest[size:]
    assert not len(rest)
    assert np.ravel(found["num_detections:0"]["data"])[0] >= 1


def test_bodies_of_tensorflow_serving_have_its_form(bodies: Path) -> None:
    """Its format alone: there is none here to send them to."""
    picture = json.loads((bodies / "tf-picture.json").read_bytes())
    assert picture["signature_name"] == "serving_default"
    ((instance),) = picture["instances"]
    assert base64.b64decode(instance["b64"]) == (bodies / "picture.jpg").read_bytes()
    tensor = json.loads((bodies / "tf-tensor.json").read_bytes())
    assert np.array(tensor["instances"]).shape == (1, 300, 300, 3)


def test_the_originals_bursts_are_a_trace(tmp_path: Path) -> None:
    (text,) = [
        code.text
        for code in read(DOCS / "from-the-original.md")[0]
        if not code.inline and "bursts.csv" in code.text
    ]
    first = text.split("\n")[0].replace("python ", f'"{sys.executable}" ', 1)
    subprocess.run(["bash", "-c", first], cwd=tmp_path, check=True, timeout=60)
    trace = read_trace(str(tmp_path / "bursts.csv"))
    assert isinstance(trace, Timestamps)
    seconds, counts = np.unique(trace.times_ns / 1e9, return_counts=True)
    assert seconds.tolist() == list(range(60))
    assert set(counts.tolist()) == {50}


# A trace from production

TIMES_S = [0.013, 0.25, 0.9, 1.5, 1.501, 4.002]


def _clock_time(at_s: float) -> str:
    whole = int(at_s)
    return f"13:59:{58 + whole:02d}" if whole < 2 else f"14:00:{whole - 2:02d}"


def _access_log(path: Path) -> None:
    lines = [
        f"10.0.0.{n} - - [26/Nov/2026:{_clock_time(at)} +0100] "
        '"POST /predict/shapes HTTP/1.1" 200 295 "-" "curl/8"'
        for n, at in enumerate(TIMES_S)
    ]
    lines.insert(
        2, '10.0.0.9 - - [26/Nov/2026:13:59:59 +0100] "GET /metrics HTTP/1.1" 200 9 "-" ""'
    )
    path.write_text("\n".join(lines) + "\n")


def test_counts_of_nginx(tmp_path: Path) -> None:
    _access_log(tmp_path / "access.log")
    _run_python(blocks(TRACE, "python")[0], tmp_path)
    trace = read_trace(str(tmp_path / "trace.csv"))
    assert isinstance(trace, ArrivalCounts)
    assert trace.counts.tolist() == [3, 2, 0, 0, 1]
    assert trace.width_s == 1


def _awk(tmp_path: Path, log: str) -> Timestamps:
    (line,) = [
        code.text
        for code in read(TRACE)[0]
        if not code.inline and code.text.startswith("awk") and log in code.text
    ]
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True, timeout=60)
    trace = read_trace(str(tmp_path / "trace.csv"))
    assert isinstance(trace, Timestamps)
    return trace


def _check_page(trace: Timestamps) -> None:
    wanted = np.array(TIMES_S) - TIMES_S[0]
    np.testing.assert_allclose(trace.times_ns / 1e9, wanted, atol=1e-6)
    assert trace.resolution_s == pytest.approx(1e-3)


def test_arrivals_of_nginx(tmp_path: Path) -> None:
    took_s = [0.03, 1.0, 0.002, 0.5, 0.01, 0.25]
    lines = [
        f"{1_795_000_000 + at + took:.3f} {took:.3f} POST /predict/shapes HTTP/1.1"
        for at, took in zip(TIMES_S, took_s, strict=True)
    ]
    lines.append("1795000000.000 0.001 GET /metrics HTTP/1.1")
    (tmp_path / "arrivals.log").write_text("\n".join(lines) + "\n")
    _check_page(_awk(tmp_path, "arrivals.log"))


def _iso(at_s: float) -> str:
    return f"2026-11-26T{_clock_time(at_s)}.{round(1000 * (at_s % 1)):03d}"


def test_arrivals_of_envoy(tmp_path: Path) -> None:
    lines = [
        f'[{_iso(at)}Z] "POST /predict/shapes HTTP/1.1" 200 - 2345 295 31 30 "-" "curl/8" "id" '
        '"shapes" "10.0.0.7:5000"'
        for at in TIMES_S
    ]
    lines.append(f'[{_iso(2.5)}Z] "GET /metrics HTTP/1.1" 200 - 0 9 1 0 "-" "x" "id" "h" "a"')
    (tmp_path / "envoy.log").write_text("\n".join(lines) + "\n")
    _check_page(_awk(tmp_path, "envoy.log"))


def test_arrivals_of_a_load_balancer(tmp_path: Path) -> None:
    (tmp_path / "alb").mkdir()
    for number in range(2):
        with gzip.open(tmp_path / f"alb/{number}.log.gz", "wt") as file:
            for at in TIMES_S[number::2]:
                file.write(_alb(at, "POST https://lb:443/predict/shapes HTTP/1.1"))
            file.write(_alb(2.5, "GET https://lb:443/metrics HTTP/1.1"))
    _run_python(blocks(TRACE, "python")[1], tmp_path)
    with (tmp_path / "trace.csv").open() as rows:
        assert len(list(csv.reader(rows))) == 1 + len(TIMES_S)
    trace = read_trace(str(tmp_path / "trace.csv"))
    assert isinstance(trace, Timestamps)
    np.testing.assert_allclose(trace.times_ns / 1e9, np.array(TIMES_S) - TIMES_S[0], atol=1e-6)


def _alb(at_s: float, request: str) -> str:
    """A line of an Application Load Balancer's access log, by its documented fields."""
    ended, came = f"{_iso(at_s + 0.03)}000Z", f"{_iso(at_s)}000Z"
    return (
        f"https {ended} app/lb/1 10.0.0.1:4711 10.0.0.7:5000 0.001 0.028 0.000 200 200 1000 300 "
        f'"{request}" "curl/8.0" ECDHE TLSv1.2 arn:aws:group "Root=1-2" "lb" "arn:aws:cert" 0 '
        f'{came} "forward" "-" "-" "10.0.0.7:5000" "200" "-" "-"\n'
    )


def test_the_trace_is_played(server: ServerProcess, bodies: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    shutil.copy(bodies / "picture.jpg", tmp_path / "pictures")
    rows = [f"{at}" for at in TIMES_S]
    (tmp_path / "trace.csv").write_text("\n".join(["timestamp", *rows]) + "\n")
    (text,) = [text for text in _loads(TRACE) if "trace:trace.csv" in text]
    first = text.split("\n")[0].replace("http://127.0.0.1:5000", server.url)
    result = _shell(first, tmp_path)
    assert result["completed"] == len(TIMES_S)


# Your own model


def _helmets(path: Path) -> None:
    """A model of the page's tensors: the mean of each of two colours."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 64, 64])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["pixels"], ["means"]),
            helper.make_node("Flatten", ["means"], ["flat"]),
            helper.make_node("Slice", ["flat", "from", "to", "axis"], ["scores"]),
        ],
        "helmets",
        [pixels],
        [scores],
        [
            helper.make_tensor("from", TensorProto.INT64, [1], [0]),
            helper.make_tensor("to", TensorProto.INT64, [1], [2]),
            helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def _with_helmets(folder: Path) -> Path:
    """A copy of the source, with the model added by steps 2 and 3."""
    source = folder / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    zoo = source / "tailrace/models/zoo"
    (zoo / "helmets.py").write_text(blocks(MODEL, "python")[1])
    names = zoo / "__init__.py"
    text = names.read_text().replace("    mobilenet,\n", "    helmets,\n    mobilenet,\n", 1)
    names.write_text(text.replace("    null.SPEC,\n", "    helmets.SPEC,\n    null.SPEC,\n", 1))
    return source


def test_a_model_is_added_by_the_steps_of_the_page(tmp_path: Path) -> None:
    _helmets(tmp_path / "helmets.onnx")
    shown = _run_python(blocks(MODEL, "python")[0], tmp_path)
    assert shown.strip().split("\n") == [
        "pixels tensor(float) ['batch', 3, 64, 64]",
        "scores tensor(float) ['batch', 2]",
    ]
    assert shown.strip() in MODEL.read_text()
    source = _with_helmets(tmp_path)
    script = (
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from tailrace.models import model, zoo\n"
        "loaded = model.load(zoo.find('helmets'), Path('helmets.onnx'), model.RuntimeOptions())\n"
        "picture = np.zeros((80, 60, 3), np.uint8); picture[..., 2] = 255\n"
        "found = loaded.postprocess(loaded.infer(loaded.preprocess(picture)), 60, 80)\n"
        "print(found.class_ids.tolist(), found.scores.round(3).tolist())\n"
    )
    assert _run_python(script, tmp_path, PYTHONPATH=str(source)) == "[0, 1] [1.0, 0.0]\n"
    shown = _run_python(
        "import sys; from tailrace.cli import main; sys.argv[0] = 'tailrace'; main()",
        tmp_path,
        *("models", "show", "helmets"),
        PYTHONPATH=str(source),
    )
    assert "tailrace models fetch helmets && tailrace serve helmets" in shown


def test_the_added_model_passes_what_holds_of_every_model(tmp_path: Path) -> None:
    """Step 6."""
    source = _with_helmets(tmp_path)
    (tmp_path / "tests/models").mkdir(parents=True)
    shutil.copy(ROOT / "tests/models/test_zoo.py", tmp_path / "tests/models")
    test = ["-q", "--import-mode=importlib", "tests/models/test_zoo.py", "-k", "helmets"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *test],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert re.search(r"\d+ passed", ran.stdout), ran.stdout
    assert ran.returncode == 0, ran.stdout
    assert "helmets" in _run_python(
        "from tailrace.models import zoo; print(zoo.names())", tmp_path, PYTHONPATH=str(source)
    )


# A controller of your own


@pytest.mark.smoke
def test_the_controller_steers(
    serve: Callable[..., Any], control_room: Callable[..., Any], tmp_path: Path
) -> None:
    (script,) = blocks(CONTROLLER, "python")
    room = control_room(serve().url).ready()
    (service,) = room.ask("GET", "/services")
    said = _run_python(script, tmp_path, room.rpc, service["id"], "3")
    lines = re.findall(r"p99 (\S+) ms  now (\d+)/s", said)
    assert len(lines) == 3
    rate = 20.0
    for p99, now in lines:
        # By its rule, whatever this machine made of the p99.
        rate = rate / 2 if p99 == "None" or float(p99) > 100 else rate + 5
        assert float(now) == pytest.approx(rate, abs=0.5)
    assert room.ask("GET", f"/services/{service['id']}")["state"] == "idle"


# Reading a verdict


REASONS = {
    "load/judge/verdict.py": (
        *("judge", "_short", "judge_mlperf", "missing_for", "_generator_faults", "_remedy"),
    ),
    "load/judge/stationarity.py": ("_growing", "_moved"),
    "load/session/session.py": ("_lost",),
    "mlperf/recount.py": ("_condition", "_duration", "_queries", "_bound", "_early"),
    "mlperf/outcome.py": ("faults",),
}
"""The functions that say why a run is INVALID."""


@pytest.mark.smoke
@pytest.mark.parametrize("name", REASONS)
def test_every_reason_is_on_the_page(name: str) -> None:
    """Each text that the code makes a reason of, by its longest stretch of fixed words."""
    page = VERDICT.read_text()
    reasons = _reasons((ROOT / "src/tailrace" / name).read_text(), REASONS[name])
    assert reasons
    missing = [words for words in reasons if words not in page]
    assert not missing, "\n".join(missing)


def _reasons(code: str, functions: Sequence[str]) -> list[str]:
    def fixed(node: ast.expr) -> str:
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        texts = [part.value for part in parts if isinstance(part, ast.Constant)]
        return max((str(text) for text in texts), key=len, default="").strip(" ;:,()%'")

    found = []
    for function in ast.walk(ast.parse(code)):
        if isinstance(function, ast.FunctionDef) and function.name in functions:
            document = ast.get_docstring(function, clean=False)
            for node in ast.walk(function):
                if isinstance(node, (ast.JoinedStr, ast.Constant)) and (
                    isinstance(node, ast.JoinedStr) or isinstance(node.value, str)
                ):
                    words = fixed(node)
                    if len(words.split()) > 2 and words not in (document or ""):
                        found.append(words)
    return found
