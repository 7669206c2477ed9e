"""The Open Inference Protocol's datatypes in numpy's terms, and whether an array is what is asked.

Runtimes cannot be trusted with the latter: TensorFlow casts without a word, and ONNX Runtime takes
all memory over an array of byte strings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailrace.models.runtimes import RuntimeFailedError, TensorInfo

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
"""All but BF16, which numpy does not have."""

_JSON_CHARACTERS = {
    "BOOL": len("false"),
    **{
        name: max(len(str(limit)) for limit in (np.iinfo(dtype).min, np.iinfo(dtype).max))
        for name, dtype in DTYPES.items()
        if dtype.kind in "iu"
    },
    # As the shortest text of a double, which is what most programs make of any float.
    **dict.fromkeys(("FP16", "FP32", "FP64"), len("-1.7976931348623157e+308")),
}


def json_bytes(tensor: TensorInfo) -> int:
    """The most bytes that a row of a tensor takes as JSON, with a comma and a space between its
    elements; 0 if they may be any number."""
    if tensor.datatype not in _JSON_CHARACTERS or min(tensor.shape[1:], default=1) < 0:
        return 0
    return math.prod(tensor.shape[1:]) * (_JSON_CHARACTERS[tensor.datatype] + len(", "))


def check_inputs(arrays: Mapping[str, NDArray[Any]], wanted: Sequence[TensorInfo]) -> None:
    """Passes arrays that are exactly the tensors `wanted`, in name, datatype and shape.

    Raises:
        RuntimeFailedError: one is missing, too many, or not what it should be.
    """
    names = [tensor.name for tensor in wanted]
    if set(arrays) != set(names):
        raise RuntimeFailedError(
            f"the model takes {', '.join(names)}, not {', '.join(arrays) or 'nothing'}"
        )
    for tensor in wanted:
        array = arrays[tensor.name]
        if array.dtype != DTYPES.get(tensor.datatype, array.dtype) or not _fits(
            array.shape, tensor.shape
        ):
            raise RuntimeFailedError(
                f"{tensor.name} is {tensor.datatype} {list(tensor.shape)}, "
                f"not {_datatype(array)} {list(array.shape)}"
            )


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(
        want in (-1, size) for size, want in zip(shape, wanted, strict=True)
    )


def _datatype(array: NDArray[Any]) -> str:
    return next((name for name, dtype in DTYPES.items() if dtype == array.dtype), str(array.dtype))
