"""TensorFlow: frozen graphs, as the object detection API and MLPerf publish them."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.models.runtimes import RuntimeFailedError, TensorInfo
from tailrace.models.runtimes.datatypes import DTYPES, check_inputs
from tailrace.models.runtimes.device import Device, parse_device

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_FATAL_ONLY = "3"
_VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp"})
# Within "Graph execution error: […] Node: 'y'\nREASON\n\t [[{{node y}}]] […]".
_REASON = re.compile(r"Node: '.*?(?=\s*\[\[)", re.DOTALL)
_DATATYPES: Mapping[str, str] = {
    "bfloat16": "BF16",
    "string": "BYTES",
    **{dtype.name: datatype for datatype, dtype in DTYPES.items()},
}


class TensorflowRuntime:
    """One TensorFlow session; all threads of a process share it.

    Each call is computed on the thread that makes it, with the help of TensorFlow's intra-op pool.
    TensorFlow has one such pool a process, as large as the first session there asked for. An output
    of which it knows no rank has the shape (-1,). See Runtime.
    """

    platform = "tensorflow_graphdef"

    def __init__(
        self,
        file: Path,
        inputs: Sequence[str],
        outputs: Sequence[str],
        threads: int,
        *,
        device: str = "cpu",
    ) -> None:
        """Loads the frozen graph `file`, whose tensors of interest it does not tell itself.

        `inputs` and `outputs` name them, as `image_tensor:0`. `threads` is the size of the intra-op
        pool. `device` is `cpu`, `cuda` or `cuda:N`.

        Raises:
            UsageError: TensorFlow is not installed, the file is not a frozen graph that it can
                load, lacks one of the tensors, or the device is unknown or not there.
        """
        wanted = parse_device(device, ("cpu", "cuda"), "TensorFlow")
        tf = _tensorflow()
        config = _config(tf, wanted, threads)
        graph = _load(tf, file)
        tensors = {
            tensor.name: tensor for node in graph.get_operations() for tensor in node.outputs
        }
        taken = [_find(tensors, name, file) for name in inputs]
        if unranked := [tensor.name for tensor in taken if tensor.shape.rank is None]:
            raise UsageError(f"{file} leaves open how many dimensions {', '.join(unranked)} has")
        self.device = str(wanted)
        self.inputs = tuple(_describe(tensor) for tensor in taken)
        self.outputs = tuple(_describe(_find(tensors, name, file)) for name in outputs)
        self._failures = (tf.errors.OpError, TypeError, ValueError)
        try:
            self._session = tf.compat.v1.Session(graph=graph, config=config)
        except self._failures as error:
            raise UsageError(f"TensorFlow could not start {device}: {_reason(error)}") from error

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """See Runtime."""
        check_inputs(inputs, self.inputs)
        if unknown := set(outputs).difference(tensor.name for tensor in self.outputs):
            raise RuntimeFailedError(f"the model does not give {', '.join(sorted(unknown))}")
        try:
            results: list[NDArray[Any]] = self._session.run(list(outputs), dict(inputs))
        except self._failures as error:
            raise RuntimeFailedError(f"TensorFlow failed: {_reason(error)}") from error
        return results


def _tensorflow() -> Any:
    level = os.environ.setdefault(_LOG_LEVEL, _FATAL_ONLY)
    quiet = _stderr_muted() if level == _FATAL_ONLY else contextlib.nullcontext()
    try:
        with quiet:
            import tensorflow
    except ImportError as error:
        raise UsageError(
            f"a frozen graph needs TensorFlow: pip install 'tailrace[tensorflow]' ({error})"
        ) from error
    return tensorflow


@contextlib.contextmanager
def _stderr_muted() -> Iterator[None]:
    # TensorFlow's libraries log as they are loaded, before they read their log level.
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _config(tf: Any, device: Device, threads: int) -> Any:
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=threads,
        # Below 0: in the thread that calls. A pool of one would have all callers queue for it.
        inter_op_parallelism_threads=-1,
        allow_soft_placement=True,
    )
    if device.kind == "cpu":
        config.device_count["GPU"] = 0
        return config
    cards = len(tf.config.list_physical_devices("GPU"))
    if device.index >= cards:
        raise UsageError(
            f"TensorFlow {tf.__version__} sees {cards} GPUs, so there is no {device}. It needs "
            "NVIDIA's driver and pip install 'tensorflow[and-cuda]'"
        )
    config.gpu_options.visible_device_list = str(device.index)
    config.gpu_options.allow_growth = True
    return config


def _load(tf: Any, file: Path) -> Any:
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(file.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except DecodeError as error:
        raise UsageError(f"{file} is not a frozen TensorFlow graph") from error
    if not definition.node:
        raise UsageError(f"{file} is not a frozen TensorFlow graph: there is no node in it")
    for node in definition.node:
        if node.op in _VARIABLES:
            raise UsageError(f"{file} is not frozen: its node {node.name} is a variable")
    graph = tf.Graph()
    with graph.as_default():
        try:
            tf.import_graph_def(definition, name="")
        except (tf.errors.OpError, TypeError, ValueError) as error:
            raise UsageError(f"TensorFlow cannot load {file}: {_reason(error)}") from error
    return graph


def _find(tensors: Mapping[str, Any], name: str, file: Path) -> Any:
    if name in tensors:
        return tensors[name]
    near = difflib.get_close_matches(name, tensors, n=3)
    given = [each for each, tensor in tensors.items() if tensor.op.type == "Placeholder"]
    raise UsageError(
        f"{file} has no tensor {name}"
        + (f"; near it: {', '.join(near)}" if near else "")
        + f"; its placeholders: {', '.join(given) or 'none'}"
    )


def _describe(tensor: Any) -> TensorInfo:
    sizes = [None] if tensor.shape.rank is None else tensor.shape.as_list()
    return TensorInfo(
        tensor.name,
        _DATATYPES.get(tensor.dtype.name, tensor.dtype.name),
        tuple(-1 if size is None else size for size in sizes),
    )


def _reason(error: Exception) -> str:
    text = str(error)
    found = _REASON.search(text)
    return " ".join((found[0] if found else text).split())
