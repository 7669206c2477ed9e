"""ONNX Runtime: on the CPU, or on a card through CUDA or TensorRT."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state

from tailrace.errors import UsageError
from tailrace.models.runtimes import RuntimeFailedError, TensorInfo
from tailrace.models.runtimes.datatypes import check_inputs
from tailrace.models.runtimes.device import Device, parse_device
from tailrace.models.runtimes.sizes import SessionsBySize, Tensors

# ONNX Runtime's exceptions have no common base but Exception; those it does not name itself are
# RuntimeError.
_ERRORS = (
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NoSuchFile,
    state.NotImplemented,
    state.RuntimeException,
    RuntimeError,
)
# Each leaves to the next what it cannot compute.
_PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_NEEDS = {
    "tensorrt": "NVIDIA's driver, CUDA, cuDNN and TensorRT: "
    "pip install 'onnxruntime-gpu[cuda,cudnn]' tensorrt",
    "cuda": "NVIDIA's driver, CUDA and cuDNN: pip install 'onnxruntime-gpu[cuda,cudnn]'",
}
_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_ERRORS_ONLY = 3
_FATAL_ONLY = 4
# Files and functions of ONNX Runtime's source, before what a user can use, and after it.
_ORIGIN = re.compile(
    r"/\S+\.(?:cc|h):\d+ [^()]*(?:\([^()]*\))+ |\b\w+\.(?:cc|h):\d+ \w+(?:\(\))? | ; GPU=.*"
)


class OnnxRuntime:
    """One ONNX Runtime session; all threads of a process share it. See Runtime."""

    platform = "onnx_onnxv1"

    def __init__(
        self, file: Path, threads: int, *, device: str = "cpu", spin: bool = False
    ) -> None:
        """Loads `file`, to compute each call on `threads` threads.

        `device` is `cpu`, `cuda`, `cuda:N`, `tensorrt` or `tensorrt:N`. With `spin`, threads that
        wait for their part of a call keep their core busy: faster alone, slower for its neighbours.

        Raises:
            UsageError: the file is not an ONNX model that this ONNX Runtime can load, or the device
                is unknown, not in this ONNX Runtime, or does not start.
        """
        wanted = parse_device(device, ("cpu", "cuda", "tensorrt"), "ONNX Runtime")
        _prepare(wanted)

        def session() -> onnxruntime.InferenceSession:
            return _session(file, threads, wanted, spin)

        first = session()
        self.device = str(wanted)
        self.inputs = tuple(_describe(node) for node in first.get_inputs())
        self.outputs = tuple(_describe(node) for node in first.get_outputs())
        batches = all(info.shape[:1] == (-1,) for info in (*self.inputs, *self.outputs))
        self._run: Callable[[list[str], Tensors], list[NDArray[Any]]] = first.run
        if wanted.kind != "cpu" and batches:
            self._run = SessionsBySize(first, session).run

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """See Runtime."""
        check_inputs(inputs, self.inputs)
        try:
            results = self._run(list(outputs), dict(inputs))
        except (UsageError, *_ERRORS) as error:
            raise RuntimeFailedError(f"ONNX Runtime failed: {_reason(error)}") from error
        return results


def _session(file: Path, threads: int, device: Device, spin: bool) -> onnxruntime.InferenceSession:
    try:
        session = onnxruntime.InferenceSession(
            str(file),
            session_options(threads, spin),
            providers=providers(device),
            # It would go on on the CPU, even in the middle of a measurement.
            enable_fallback=0,
        )
    except _ERRORS as error:
        fault = "is not a usable ONNX model"
        if device.kind != "cpu":
            fault = f"does not load on {device}"
        raise UsageError(f"{file} {fault}: {_reason(error)}") from error
    if _PROVIDERS[device.kind] not in session.get_providers():
        raise UsageError(
            f"ONNX Runtime could not start {device} (it logs why). It needs {_NEEDS[device.kind]}"
        )
    return session


def providers(device: Device) -> list[tuple[str, dict[str, int]]]:
    """ONNX Runtime's execution providers for `device` with their options, the preferred first."""
    kinds = list(_PROVIDERS)
    return [
        (_PROVIDERS[kind], {} if kind == "cpu" else {"device_id": device.index})
        for kind in kinds[kinds.index(device.kind) :]
    ]


def session_options(threads: int, spin: bool) -> onnxruntime.SessionOptions:
    """What a session is set to; for memory and optimization, the defaults measure fastest."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.log_severity_level = _FATAL_ONLY
    return options


def _prepare(device: Device) -> None:
    if device.kind == "cpu":
        return
    available = onnxruntime.get_available_providers()
    if _PROVIDERS[device.kind] not in available:
        there = ", ".join(name.removesuffix("ExecutionProvider") for name in available)
        raise UsageError(
            f"this ONNX Runtime has no {device.kind}, only {there}: pip uninstall onnxruntime, "
            "then pip install 'onnxruntime-gpu[cuda,cudnn]'"
        )
    # It warns at each start that no card comes with a plug-in.
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    # NVIDIA's libraries from pip lie where the system does not look for them.
    with contextlib.redirect_stdout(sys.stderr):
        onnxruntime.preload_dlls()


def _describe(node: Any) -> TensorInfo:
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return TensorInfo(node.name, _DATATYPES.get(node.type, node.type), shape)


def _reason(error: Exception) -> str:
    # As "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from x failed:Parsing failed."
    text = str(error).rpartition(" : ")[2].rpartition(" failed:")[2]
    return " ".join(_ORIGIN.sub("", text).split())
