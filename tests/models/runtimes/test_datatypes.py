"""Arrays that are the tensors asked for, and those that are not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tailrace.models.runtimes import RuntimeFailedError, TensorInfo
from tailrace.models.runtimes.datatypes import DTYPES, check_inputs

IMAGE = TensorInfo("image", "UINT8", (-1, 300, 300, 3))
SCALE = TensorInfo("scale", "FP32", ())


def test_what_fits_passes() -> None:
    scale = np.zeros((), np.float32)
    for batch in (0, 1, 7):
        image = np.zeros((batch, 300, 300, 3), np.uint8)
        check_inputs({"scale": scale, "image": image}, [IMAGE, SCALE])


@pytest.mark.parametrize("datatype", DTYPES)
def test_each_datatype_is_that_one_alone(datatype: str) -> None:
    for other, dtype in DTYPES.items():
        array = np.zeros(2, dtype)
        if other == datatype:
            check_inputs({"x": array}, [TensorInfo("x", datatype, (-1,))])
        else:
            with pytest.raises(RuntimeFailedError, match=rf"x is {datatype} \[-1\], not {other} "):
                check_inputs({"x": array}, [TensorInfo("x", datatype, (-1,))])


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((1, 300, 300, 3), np.float32), r"not FP32 \[1, 300, 300, 3\]"),
        (np.zeros((300, 300, 3), np.uint8), r"not UINT8 \[300, 300, 3\]"),
        (np.zeros((1, 3, 300, 300), np.uint8), r"not UINT8 \[1, 3, 300, 300\]"),
        (np.zeros((1, 1, 300, 300, 3), np.uint8), r"not UINT8 \[1, 1, 300, 300, 3\]"),
        (np.zeros((1, 300, 300, 3), "S1"), r"not \|S1"),
        (np.zeros((1, 300, 300, 3), np.complex64), "not complex64"),
    ],
)
def test_what_does_not_fit_is_described(array: NDArray[np.generic], said: str) -> None:
    with pytest.raises(RuntimeFailedError, match=r"image is UINT8 \[-1, 300, 300, 3\], " + said):
        check_inputs({"image": array}, [IMAGE])


def test_foreign_byte_order_is_refused() -> None:
    array = np.ones(3, np.dtype(np.float32).newbyteorder())
    with pytest.raises(RuntimeFailedError, match="x is FP32"):
        check_inputs({"x": array}, [TensorInfo("x", "FP32", (3,))])


def test_names_must_be_the_models() -> None:
    image = np.zeros((1, 300, 300, 3), np.uint8)
    with pytest.raises(RuntimeFailedError, match="takes image, not nothing"):
        check_inputs({}, [IMAGE])
    with pytest.raises(RuntimeFailedError, match=r"takes image, scale, not image$"):
        check_inputs({"image": image}, [IMAGE, SCALE])
    with pytest.raises(RuntimeFailedError, match="takes image, not image, more"):
        check_inputs({"image": image, "more": image}, [IMAGE])
