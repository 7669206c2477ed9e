"""No model: gives back the bytes it is sent, at once, so that what is left is the service's own.

Pictures are not even decoded.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailrace.models.outputs import Detections
from tailrace.models.runtimes import TensorInfo
from tailrace.models.zoo.spec import Cost, Format, ModelSpec

_BLANK = np.zeros((1, 1, 3), np.uint8)


def _decode(_: bytes, _max_pixels: int = 0) -> NDArray[np.uint8]:
    return _BLANK


def _preprocess(_: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _BLANK[:, :, 0]


def _postprocess(_: Sequence[NDArray[Any]], width_px: int, height_px: int) -> Detections:
    return Detections.none()


SPEC = ModelSpec(
    name="null",
    title="No model: calibrates the service's overhead",
    task="detection",
    formats=(
        Format(
            runtime="null",
            input=TensorInfo("input", "UINT8", (-1, -1)),
            outputs=("output",),
            preprocess=_preprocess,
            postprocess=_postprocess,
            decode=_decode,
        ),
    ),
    cost=Cost(parameters=0, flop=0),
)
