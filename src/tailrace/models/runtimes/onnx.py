"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state

from tailrace.errors import UsageError
from tailrace.models.runtimes import RuntimeFailedError, TensorInfo

# ONNX Runtime's exceptions have no common base but Exception.
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
)
_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(int8)": "INT8",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_FATAL_ONLY = 4


class OnnxRuntime:
    """One ONNX Runtime session; all threads of a process share it."""

    def __init__(self, file: Path, threads: int) -> None:
        """Loads `file`, to compute each call on `threads` threads.

        Raises:
            UsageError: the file is not an ONNX model that this ONNX Runtime can load.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores from the other requests while they wait.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = _FATAL_ONLY
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except _ERRORS as error:
            raise UsageError(f"{file} is not a usable ONNX model: {_reason(error)}") from error
        self._inputs = tuple(_describe(node) for node in self._session.get_inputs())
        self._outputs = tuple(_describe(node) for node in self._session.get_outputs())

    @property
    def platform(self) -> str:
        """See Runtime."""
        return "onnx_onnxv1"

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """See Runtime."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """See Runtime."""
        return self._outputs

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """See Runtime."""
        try:
            results: list[NDArray[Any]] = self._session.run(list(outputs), dict(inputs))
        except _ERRORS as error:
            raise RuntimeFailedError(f"ONNX Runtime failed: {_reason(error)}") from error
        return results


def _describe(node: Any) -> TensorInfo:
    shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
    return TensorInfo(node.name, _DATATYPES.get(node.type, node.type), shape)


def _reason(error: Exception) -> str:
    # As "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from x failed:Parsing failed."
    return str(error).rpartition(" : ")[2].rpartition(" failed:")[2].strip().replace("\n", " ")
