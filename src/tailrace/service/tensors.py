"""Tensors as the Open Inference Protocol v2 sends them, as JSON or as bytes, to and from numpy.

In JSON a tensor's elements are numbers, booleans or strings, flat in row-major order or nested as
its shape. As bytes they are little-endian, row-major, each in its datatype's size; each element of
BYTES follows its length, a 32-bit number.
"""

from __future__ import annotations

import functools
import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.models.runtimes.datatypes import DTYPES
from tailrace.service.errors import RequestError

# `str` for BYTES, as ONNX Runtime takes them; so they must be UTF-8.
_DTYPES = {name: dtype.newbyteorder("<") for name, dtype in DTYPES.items()}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LENGTH = struct.Struct("<I")
_BAD_ELEMENTS = (
    msgspec.MsgspecError,
    RecursionError,
    UnicodeDecodeError,
    OverflowError,
    FloatingPointError,
)
_NESTED = re.compile(rb"\s*\[\s*\[")
_PIECE_BYTES = 256 * 2**10
_ALL_BUT_STRUCTURE = bytes(set(range(256)) - set(b"[,]"))
_BRACKETS_TO_SPACES = bytes.maketrans(b"[]", b"  ")
_ENCODED_AT_ONCE = 2**16


@dataclass(frozen=True, slots=True)
class WireTensor:
    """A tensor as it was sent, its elements not looked at yet."""

    datatype: str
    """One that `tailrace.models.runtimes.datatypes` has."""
    shape: tuple[int, ...]
    data: memoryview
    """The elements' bytes if `binary`, else their JSON."""
    binary: bool

    def decode(self) -> NDArray[Any]:
        """The tensor; see `decode_binary` and `decode_json`."""
        decode = decode_binary if self.binary else decode_json
        return decode(self.datatype, self.shape, self.data)


def datatype_of(array: NDArray[Any]) -> str:
    """The protocol's name for the type of an array's elements."""
    return _NAMES[array.dtype]


def size_bytes(datatype: str, shape: Sequence[int]) -> int | None:
    """Bytes of a tensor in binary form; None for BYTES, whose elements differ in length."""
    return None if datatype == "BYTES" else math.prod(shape) * _DTYPES[datatype].itemsize


def decode_binary(datatype: str, shape: Sequence[int], data: memoryview) -> NDArray[Any]:
    """The tensor in `data`: a view of it, wherever numpy can compute with it as it lies.

    Raises:
        RequestError: too many or too few bytes, or some that this datatype does not have.
    """
    if datatype == "BYTES":
        return _decode_strings(shape, bytes(data))
    wanted = size_bytes(datatype, shape)
    if data.nbytes != wanted:
        raise RequestError(f"{datatype} {list(shape)} takes {wanted} bytes, not {data.nbytes}")
    if datatype == "BOOL" and np.any(np.frombuffer(data, np.uint8) > 1):
        raise RequestError("a byte of BOOL is 0 or 1")
    array = np.frombuffer(data, _DTYPES[datatype]).reshape(shape)
    return array if array.flags.aligned else array.copy()


def decode_json(datatype: str, shape: Sequence[int], data: memoryview) -> NDArray[Any]:
    """The tensor in a JSON array, flat or nested as `shape`.

    Raises:
        RequestError: no such array, too many or too few elements, or one that this datatype does
            not have.
    """
    if datatype == "BYTES":
        return _decode_json_strings(shape, bytes(data))
    count = math.prod(shape)
    if count == 0 and not bytes(data).strip(b"[], \t\r\n"):
        return np.empty(shape, _DTYPES[datatype])
    # Known before a number is made: a Python number takes up to sixteen times its text.
    if (given := sum(piece.count(b",") for piece in _pieces(data)) + 1) != count:
        raise RequestError(f"{datatype} {list(shape)} has {count} elements, not {given}")
    nested = _NESTED.match(data) is not None
    wanted = _structure(shape if nested else (count,))
    array = np.empty(count, _DTYPES[datatype])
    seen = filled = 0
    rest = b""
    for piece in _pieces(data):
        structure = piece.translate(None, _ALL_BUT_STRUCTURE)
        if wanted[seen : seen + len(structure)] != structure:
            break
        seen += len(structure)
        # Brackets stand where they should, so what is between them can be read as one list.
        numbers, comma, rest = (rest + piece.translate(_BRACKETS_TO_SPACES)).rpartition(b",")
        if comma:
            filled += _fill(array[filled:], datatype, numbers)
    if seen != len(wanted):
        raise RequestError(f"data is no array that is flat or nested as {list(shape)}")
    filled += _fill(array[filled:], datatype, rest)
    if filled != count:
        raise RequestError(f"data lacks {count - filled} of its {count} elements between commas")
    return array.reshape(shape)


def _pieces(data: memoryview) -> Iterator[bytes]:
    for begin in range(0, data.nbytes, _PIECE_BYTES):
        yield bytes(data[begin : begin + _PIECE_BYTES])


def _structure(shape: Sequence[int]) -> bytes:
    # Brackets and commas of a JSON array of this shape.
    inner = b""
    for size in reversed(shape):
        inner = b"[%b]" % ((inner + b",") * (size - 1) + inner)
    return inner or b"[]"


def _fill(array: NDArray[Any], datatype: str, numbers: bytes) -> int:
    # Sets the first elements, from text with commas between them; returns how many.
    try:
        with np.errstate(over="raise"):
            values = np.array(_decoder(datatype).decode(b"[%b]" % numbers), array.dtype)
    except _BAD_ELEMENTS as error:
        raise RequestError(f"data has something that is no {datatype}: {error}") from error
    array[: len(values)] = values
    return len(values)


def _decode_json_strings(shape: Sequence[int], text: bytes) -> NDArray[Any]:
    depth = max(len(shape), 1) if _NESTED.match(text) else 1
    try:
        array = np.array(_strings_decoder(depth).decode(text), object)
    except _BAD_ELEMENTS as error:
        raise RequestError(f"data has something that is no BYTES: {error}") from error
    except ValueError as error:
        raise RequestError(f"data is not nested as {list(shape)}") from error
    if array.shape not in ((math.prod(shape),), tuple(shape)):
        raise RequestError(f"BYTES {list(shape)} is given as {list(array.shape)}")
    return array.reshape(shape)


def highest(array: NDArray[Any], count: int, rows: int) -> NDArray[Any]:
    """The `count` highest elements of each of `rows`, or of the whole if it does not go by rows,
    highest first: BYTES, each `value:index` as Triton's classification extension has it. The index
    is that in the row, row-major; of equal elements the first comes first, NaN last.

    Raises:
        RequestError: the elements are no numbers.
    """
    if array.dtype.kind not in "iufb":
        raise RequestError(f"classification is for numbers, not for {datatype_of(array)}")
    by_rows = array.ndim > 1 and array.shape[0] == rows
    flat = array.reshape(rows if by_rows else 1, -1)
    keys = np.where(np.isnan(flat), -np.inf, flat) if array.dtype.kind == "f" else flat
    # Backwards there and back, so that of equal ones the first comes first.
    order = (flat.shape[1] - 1 - np.argsort(keys[:, ::-1], axis=1, kind="stable"))[:, ::-1]
    order = order[:, :count]
    values = np.take_along_axis(flat, order, axis=1)
    form = "{:f}:{}" if array.dtype.kind == "f" else "{:d}:{}"
    told = [
        [form.format(value, index) for value, index in zip(*row, strict=True)]
        for row in zip(values.tolist(), order.tolist(), strict=True)
    ]
    return np.array(told if by_rows else told[0], object)


def encode_binary(array: NDArray[Any]) -> memoryview:
    """The elements' bytes: a view of `array`, if it lies in the protocol's order."""
    if array.dtype.kind == "O":
        encoded = [element.encode() for element in array.ravel()]
        return memoryview(b"".join([_LENGTH.pack(len(each)) + each for each in encoded]))
    ordered = np.ascontiguousarray(array, _DTYPES[datatype_of(array)])
    return ordered.reshape(-1).view(np.uint8).data


def encode_json(array: NDArray[Any]) -> bytes:
    """The elements as a flat JSON array. JSON has neither NaN nor infinity: they become null."""
    flat = array.ravel()
    if flat.size <= _ENCODED_AT_ONCE:
        return msgspec.json.encode(flat.tolist())
    # A Python number takes some eight times the space of an element.
    text = bytearray(b"[")
    for begin in range(0, flat.size, _ENCODED_AT_ONCE):
        text += msgspec.json.encode(flat[begin : begin + _ENCODED_AT_ONCE].tolist())[1:-1] + b","
    text[-1:] = b"]"
    return bytes(text)


def _decode_strings(shape: Sequence[int], data: bytes) -> NDArray[Any]:
    strings: list[str] = []
    at = 0
    while at < len(data):
        if len(data) - at < _LENGTH.size:
            raise RequestError("BYTES end within the length of an element")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if len(data) - at < length:
            raise RequestError(f"BYTES end within element {len(strings)}, of {length} bytes")
        try:
            strings.append(data[at : at + length].decode())
        except UnicodeDecodeError as error:
            raise RequestError(f"element {len(strings)} of BYTES is not UTF-8: {error}") from error
        at += length
    if len(strings) != math.prod(shape):
        raise RequestError(f"BYTES {list(shape)} has {len(strings)} elements")
    return np.array(strings, object).reshape(shape)


@functools.cache
def _decoder(datatype: str) -> msgspec.json.Decoder[Any]:
    element: Any = _element(_DTYPES[datatype])
    return msgspec.json.Decoder(list[element])


@functools.cache
def _strings_decoder(depth: int) -> msgspec.json.Decoder[Any]:
    kind: Any = str
    for _ in range(depth):
        kind = list[kind]
    return msgspec.json.Decoder(kind)


def _element(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        return Annotated[int, msgspec.Meta(ge=int(limits.min), le=int(limits.max))]
    if dtype.kind == "u":
        # msgspec's bounds are signed; what is beyond UINT64 numpy refuses.
        top = int(np.iinfo(dtype).max) if dtype.itemsize < 8 else None
        return Annotated[int, msgspec.Meta(ge=0, le=top)]
    return {"b": bool, "f": float}[dtype.kind]
