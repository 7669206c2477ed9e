"""Run-length masks, held to what pycocotools makes of them."""

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from tailrace.datasets import rle

masks = arrays.arrays(
    np.uint8,
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    elements=st.integers(0, 1),
    fill=st.integers(0, 1),
)


def packed_rle(mask: NDArray[np.uint8]) -> dict[str, object]:
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode()}


@given(masks)
def test_lists_are_pycocotools_own(mask: NDArray[np.uint8]) -> None:
    encoded = rle.encode(mask)
    assert np.array_equal(rle.decode(encoded), mask)
    read = coco_mask.frPyObjects(encoded, *mask.shape)
    assert np.array_equal(coco_mask.decode(read), mask)


@given(masks)
def test_packed_strings_are_read(mask: NDArray[np.uint8]) -> None:
    assert np.array_equal(rle.decode(packed_rle(mask)), mask)


def test_long_runs_in_strings() -> None:
    mask = np.zeros((1200, 1600), np.uint8)
    mask[300:900, 200:1300] = 1
    mask[0, 0] = 1
    assert np.array_equal(rle.decode(packed_rle(mask)), mask)


@given(masks, st.integers(1, 4), st.integers(1, 4))
def test_whole_factors_repeat_each_pixel(mask: NDArray[np.uint8], x: int, y: int) -> None:
    height, width = mask.shape
    resized = rle.resize(rle.encode(mask), (width * x, height * y))
    assert np.array_equal(rle.decode(resized), mask.repeat(y, axis=0).repeat(x, axis=1))


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [2, 2], "counts": [3]},
        {"size": [2, 2], "counts": [5]},
        {"size": [2, 2], "counts": [6, -2]},
        {"size": [0, 0], "counts": []},
        {"size": [2, 2], "counts": "1"},
        {"size": [2, 2], "counts": ["a"]},
        {"size": [2], "counts": [2]},
    ],
)
def test_counts_that_do_not_cover_the_size(mask: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        rle.decode(mask)
