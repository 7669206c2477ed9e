"""Tensors survive the wire in both forms, and nothing malformed gets past it."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from tailrace.models.runtimes.datatypes import DTYPES
from tailrace.service.errors import RequestError
from tailrace.service.tensors import (
    WireTensor,
    datatype_of,
    decode_binary,
    decode_json,
    encode_binary,
    encode_json,
)

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)
NAMES = sorted(DTYPES)


@st.composite
def tensors(draw: st.DrawFn, finite: bool) -> NDArray[Any]:
    dtype = DTYPES[draw(st.sampled_from(NAMES))]
    shape = draw(SHAPES)
    if dtype.kind == "O":
        size = int(np.prod(shape))
        text = st.text(st.characters(codec="utf-8"), max_size=8)
        strings = draw(st.lists(text, min_size=size, max_size=size))
        return np.array(strings, object).reshape(shape)
    elements = None
    if finite and dtype.kind == "f":
        elements = hnp.from_dtype(dtype, allow_nan=False, allow_infinity=False)
    return draw(hnp.arrays(dtype, shape, elements=elements))


def _same(got: NDArray[Any], wanted: NDArray[Any]) -> None:
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    np.testing.assert_array_equal(got, wanted)


@settings(max_examples=300)
@given(tensors(finite=False))
def test_binary_there_and_back(array: NDArray[Any]) -> None:
    data = encode_binary(array)
    _same(decode_binary(datatype_of(array), array.shape, data), array)
    if array.dtype.kind != "O":
        assert bytes(data) == array.tobytes()


@settings(max_examples=300)
@given(tensors(finite=True))
def test_json_there_and_back(array: NDArray[Any]) -> None:
    flat = memoryview(encode_json(array))
    nested = memoryview(json.dumps(array.tolist()).encode())
    for text in (flat, nested):
        _same(decode_json(datatype_of(array), array.shape, text), array)


@settings(max_examples=500)
@given(
    st.sampled_from(NAMES),
    SHAPES,
    st.booleans(),
    st.one_of(
        st.binary(max_size=64),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
            max_leaves=16,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_whatever_is_sent_is_a_tensor_or_refused(
    datatype: str, shape: tuple[int, ...], binary: bool, data: bytes
) -> None:
    with contextlib.suppress(RequestError):
        array = WireTensor(datatype, shape, memoryview(data), binary).decode()
        assert array.shape == shape
        assert array.dtype == DTYPES[datatype]


@pytest.mark.parametrize(
    ("datatype", "shape", "text", "message"),
    [
        ("UINT8", (2,), "[1]", "has 2 elements, not 1"),
        ("UINT8", (2,), "[1, 2, 3]", "has 2 elements, not 3"),
        ("UINT8", (2,), "[1, 256]", r"<= 255"),
        ("UINT8", (2,), "[1, -1]", r">= 0"),
        ("UINT8", (2,), "[1, 1.5]", "Expected `int`, got `float`"),
        ("UINT8", (2,), "[1, true]", "Expected `int`, got `bool`"),
        ("UINT8", (2,), '[1, "2"]', "Expected `int`, got `str`"),
        ("INT8", (2,), "[127, -129]", r">= -128"),
        ("INT64", (1,), "[9223372036854775808]", "no INT64"),
        ("UINT64", (1,), "[18446744073709551616]", "no UINT64"),
        ("FP16", (1,), "[65520]", "no FP16"),
        ("FP32", (1,), "[1e39]", "no FP32"),
        ("FP64", (1,), "[1e309]", "out of range"),
        ("FP32", (1,), "[NaN]", "malformed"),
        ("FP32", (1,), "[null]", "Expected `float`, got `null`"),
        ("BOOL", (1,), "[1]", "Expected `bool`, got `int`"),
        ("BYTES", (1,), "[1]", "Expected `str`, got `int`"),
        ("BYTES", (2, 2), '[["a"], ["b", "c"]]', "given as"),
        ("FP32", (2, 2), "[[1, 2], [3]]", "has 4 elements, not 3"),
        ("FP32", (1, 3), "[[1], [2], [3]]", "flat or nested as"),
        ("FP32", (2, 2), "[[[1, 2], [3, 4]]]", "flat or nested as"),
        ("FP32", (2, 2), "[[1, 2, 3], [4]]", "flat or nested as"),
        ("FP32", (2, 2), "[[1, 2], 3, 4]", "flat or nested as"),
        ("FP32", (2, 2), "[1, 2, [3, 4]]", "flat or nested as"),
        ("FP32", (2, 2), "[[1, 2] 3, [4, 5]]", "no FP32"),
        ("FP32", (2, 2), "[[1, 2], 3 [4, 5]]", "no FP32"),
        ("FP32", (2, 2), "[[1, 2], [3, ]]", "lacks 1 of its"),
        ("FP32", (2, 2), "[[1, 2], [, 3]]", "no FP32"),
        ("FP32", (2,), "[1, ]", "lacks 1 of its"),
        ("FP32", (2,), "[, 1]", "lacks 1 of its"),
        ("FP32", (2,), "{1, 2}", "flat or nested as"),
        ("FP32", (1,), "[]", "lacks 1 of its"),
        ("FP32", (1,), "{}", "flat or nested as"),
        ("FP32", (1,), "1", "flat or nested as"),
        ("FP32", (1,), "", "flat or nested as"),
        ("FP32", (1,), "[" * 100_000, "flat or nested as"),
        ("FP32", (2**62,), "[1]", "has 4611686018427387904 elements, not 1"),
        ("FP32", (0, 4), "[1]", "has 0 elements, not 1"),
        ("FP32", (0, 4), "[[1, 2, 3, 4]]", "has 0 elements, not 4"),
    ],
)
def test_json_that_is_no_such_tensor(
    datatype: str, shape: tuple[int, ...], text: str, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        decode_json(datatype, shape, memoryview(text.encode()))


@pytest.mark.parametrize(("shape", "text"), [((0, 4), "[]"), ((0,), " [ ] "), ((2, 0), "[[], []]")])
def test_a_tensor_without_elements(shape: tuple[int, ...], text: str) -> None:
    assert decode_json("FP32", shape, memoryview(text.encode())).shape == shape


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "message"),
    [
        ("FP32", (2,), bytes(7), r"FP32 \[2\] takes 8 bytes, not 7"),
        ("FP32", (2,), bytes(9), "not 9"),
        ("UINT8", (10**12, 10**12), bytes(9), "not 9"),
        ("BOOL", (2,), b"\0\2", "0 or 1"),
        ("BYTES", (1,), b"\1\0\0", "within the length"),
        ("BYTES", (1,), b"\xff\xff\xff\xffa", "within element 0, of 4294967295 bytes"),
        ("BYTES", (2,), b"\1\0\0\0a", "has 1 elements"),
        ("BYTES", (1,), b"\1\0\0\0\xff", "not UTF-8"),
    ],
)
def test_bytes_that_are_no_such_tensor(
    datatype: str, shape: tuple[int, ...], data: bytes, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        decode_binary(datatype, shape, memoryview(data))


def test_aligned_bytes_are_not_copied() -> None:
    body = bytes(range(1, 40))
    for at in (0, 1, 8):
        array = decode_binary("UINT8", (4,), memoryview(body)[at : at + 4])
        assert np.shares_memory(array, np.frombuffer(body, np.uint8))
    array = np.arange(6, dtype="<f4")
    wire = encode_binary(array)
    assert np.shares_memory(np.frombuffer(wire, np.uint8), array)
    decoded = decode_binary("FP32", (2, 3), wire)
    assert np.shares_memory(decoded, array)


def test_unaligned_bytes_are_made_computable() -> None:
    wanted = np.arange(6, dtype="<f4")
    padded = np.frombuffer(b"\0" + wanted.tobytes(), np.uint8)[1:]
    array = decode_binary("FP32", (6,), padded.data)
    assert array.flags.aligned
    np.testing.assert_array_equal(array, wanted)


def test_transposed_arrays_are_sent_row_by_row() -> None:
    array = np.arange(12, dtype="<i4").reshape(3, 4)
    assert bytes(encode_binary(array.T)) == np.ascontiguousarray(array.T).tobytes()


def test_json_has_null_for_what_json_cannot_say() -> None:
    text = encode_json(np.array([1.5, np.nan, np.inf, -np.inf], np.float32))
    assert json.loads(text) == [1.5, None, None, None]


@pytest.mark.slow("bodies as large as may be")
@pytest.mark.parametrize("shape", [(2**20,), (2**18, 4)])
def test_numbers_in_json_take_no_more_memory_than_their_text(shape: tuple[int, ...]) -> None:
    wanted = np.arange(2**20, dtype=np.float32).reshape(shape)
    texts = [json.dumps(array.tolist()).encode() for array in (wanted.ravel(), wanted)]
    for text in texts:
        tracemalloc.start()
        found = decode_json("FP32", shape, memoryview(text))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        np.testing.assert_array_equal(found, wanted)
        assert most < 1.5 * len(text) + wanted.nbytes
    tracemalloc.start()
    encoded = encode_json(wanted)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert json.loads(encoded) == wanted.ravel().tolist()
    assert most < 3 * len(encoded)


@pytest.mark.parametrize("spaces", [0, 1, 99_999])
def test_text_that_is_read_in_pieces(spaces: int) -> None:
    wanted = np.arange(300_000 // (spaces + 1) + 20, dtype=np.int64) - 7
    text = ("," + " " * spaces).join(map(str, wanted.tolist()))
    found = decode_json("INT64", wanted.shape, memoryview(f"[{text}]".encode()))
    np.testing.assert_array_equal(found, wanted)
