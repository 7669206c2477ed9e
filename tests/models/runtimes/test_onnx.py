"""ONNX Runtime: datatypes, devices, and threads that share a session."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tailrace.errors import UsageError
from tailrace.models import store, zoo
from tailrace.models.runtimes import Runtime, RuntimeFailedError, TensorInfo
from tailrace.models.runtimes.datatypes import DTYPES
from tailrace.models.runtimes.device import Device
from tailrace.models.runtimes.onnx import OnnxRuntime, _reason, providers, session_options

ELEMENTS = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
NEEDS_CPU_BUILD = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="this ONNX Runtime has CUDA",
)


@pytest.fixture(scope="module")
def shapes_file() -> Path:
    file = store.model_file(zoo.find("shapes"))
    assert file is not None
    return file


def write_onnx(file: Path, operator: str, element: int, size: int | str) -> Path:
    """A model of one operator, from `x` to `y`."""
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", element, [size])],
        [helper.make_tensor_value_info("y", element, [size])],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), file)
    return file


@pytest.mark.parametrize("datatype", ELEMENTS)
def test_datatypes_are_the_protocols(tmp_path: Path, datatype: str) -> None:
    runtime: Runtime = OnnxRuntime(
        write_onnx(tmp_path / "m.onnx", "Identity", ELEMENTS[datatype], "n"), 1
    )
    assert runtime.inputs == (TensorInfo("x", datatype, (-1,)),)
    assert runtime.outputs == (TensorInfo("y", datatype, (-1,)),)
    if datatype in DTYPES:
        values = ["a", "β", ""] if datatype == "BYTES" else [0, 1, 1]
        given = np.array(values, DTYPES[datatype])
        (found,) = runtime.run({"x": given}, ["y"])
        assert found.dtype == given.dtype
        assert found.tolist() == given.tolist()


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    runtime = OnnxRuntime(write_onnx(tmp_path / "m.onnx", "Neg", TensorProto.FLOAT, 3), 1)
    assert runtime.run({"x": np.ones(3, np.float32)}, ["y"])[0].tolist() == [-1, -1, -1]
    for name, array in (
        ("x", np.ones(3)),
        ("x", np.ones(4, np.float32)),
        ("z", np.ones(3, np.float32)),
    ):
        with pytest.raises(RuntimeFailedError):
            runtime.run({name: array}, ["y"])
    with pytest.raises(RuntimeFailedError, match="z"):
        runtime.run({"x": np.ones(3, np.float32)}, ["z"])


def test_spinning_is_off_unless_asked_for(shapes_file: Path) -> None:
    for spin in (False, True):
        options = session_options(3, spin)
        assert options.intra_op_num_threads == 3
        key = "session.intra_op.allow_spinning"
        assert options.get_session_config_entry(key) == str(int(spin))
        assert OnnxRuntime(shapes_file, 2, spin=spin).device == "cpu"


def test_threads_share_a_session(shapes_file: Path) -> None:
    runtime = OnnxRuntime(shapes_file, 1)
    names = [tensor.name for tensor in runtime.outputs]
    pictures = np.random.default_rng(4).integers(0, 256, (8, 1, 300, 300, 3), np.uint8)
    alone = [runtime.run({"image_tensor:0": picture}, names) for picture in pictures]
    assert len({answer[2].tobytes() for answer in alone}) == len(pictures), "they can be told apart"

    def agrees(turn: int) -> bool:
        number = turn % len(pictures)
        found = runtime.run({"image_tensor:0": pictures[number]}, names)
        return all(map(np.array_equal, found, alone[number]))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(agrees, range(64)))


def test_providers_end_on_the_cpu() -> None:
    cpu = ("CPUExecutionProvider", {})
    cuda = ("CUDAExecutionProvider", {"device_id": 2})
    assert providers(Device("cpu")) == [cpu]
    assert providers(Device("cuda", 2)) == [cuda, cpu]
    assert providers(Device("tensorrt", 2)) == [
        ("TensorrtExecutionProvider", {"device_id": 2}),
        cuda,
        cpu,
    ]


@NEEDS_CPU_BUILD
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt"])
def test_a_device_that_is_not_installed(shapes_file: Path, device: str) -> None:
    kind = device.partition(":")[0]
    with pytest.raises(UsageError, match=rf"no {kind}, only .*CPU: .*pip install 'onnxruntime-gpu"):
        OnnxRuntime(shapes_file, 1, device=device)


def test_unknown_device(shapes_file: Path) -> None:
    with pytest.raises(UsageError, match="unknown device 'npu': ONNX Runtime has cpu, cuda, "):
        OnnxRuntime(shapes_file, 1, device="npu")


def test_nothing_is_told_to_anyone(tmp_path: Path) -> None:
    """Its telemetry would leave an identifier of this machine in the user's cache."""
    load = "from tailrace.models import runtimes; from tailrace.models.runtimes import onnx"
    environment = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "CI")}
    homes = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", load], env=environment | homes, check=True, timeout=60)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# As ONNX Runtime 1.31 says them with no card to be seen, and with one.
NO_CARD = """[ONNXRuntimeError] : 1 : FAIL : provider_options_utils.h:187 Parse Failed to parse
provider option "device_id": CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ;
hostname=vm ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider_info.cc
; line=70 ; expr=cudaGetDeviceCount(&num_devices); """
NO_THIRD_CARD = """provider_options_utils.h:187 Parse Failed to parse provider option "device_id":
cuda_execution_provider_info.cc:71 operator() Invalid device ID: 3, must be between 0 (inclusive)
and 1 (exclusive)."""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (NO_CARD, "CUDA failure 100: no CUDA-capable device is detected"),
        (NO_THIRD_CARD, "Invalid device ID: 3, must be between 0 (inclusive) and 1 (exclusive)."),
    ],
)
def test_what_a_card_answers_without_places_in_the_source(text: str, reason: str) -> None:
    found = _reason(RuntimeError(" ".join(text.split())))
    assert found == f'Failed to parse provider option "device_id": {reason}'
