"""Inference requests are read or refused before anything is computed, and answers say it all."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.models import zoo
from tailrace.models.model import Model
from tailrace.models.runtimes.null import NullRuntime
from tailrace.service.errors import RequestError
from tailrace.service.infer_messages import InferRequest, read_request, write_answer
from tailrace.service.tensors import WireTensor

SPEC = zoo.find("null")
MODEL = Model(SPEC, SPEC.formats[0], NullRuntime())
TWIN = Model(SPEC, SPEC.formats[0], NullRuntime(), twin=True)
INPUT = {"name": "input", "shape": [1, 3], "datatype": "UINT8", "data": [1, 2, 3]}
BINARY = {**INPUT, "data": None, "parameters": {"binary_data_size": 3}}
del BINARY["data"]


def _read(document: Any, binary: bytes | None = None, model: Model = MODEL) -> InferRequest:
    text = json.dumps(document).encode()
    return read_request(model, text + (binary or b""), None if binary is None else len(text))


def _data(request: InferRequest) -> bytes:
    return bytes(request.inputs["input"].decode())


def test_the_tensors_are_views_of_the_body() -> None:
    text = json.dumps({"inputs": [BINARY]}).encode()
    body = text + b"abc"
    tensor = read_request(MODEL, body, len(text)).inputs["input"]
    assert tensor == WireTensor("UINT8", (1, 3), memoryview(b"abc"), True)
    assert np.shares_memory(tensor.decode(), np.frombuffer(body, np.uint8))


def test_json_without_a_length_and_with_its_own() -> None:
    assert _data(_read({"inputs": [INPUT]})) == _data(_read({"inputs": [INPUT]}, b"")) == b"\1\2\3"


def test_bytes_alone() -> None:
    request = read_request(MODEL, b"abcde", 0)
    assert request.inputs["input"].shape == (1, 5)
    assert _data(request) == b"abcde"
    assert [output.binary for output in request.outputs] == [True]
    with pytest.raises(RequestError, match="takes 1 bytes, not 0"):
        read_request(MODEL, b"", 0)


@pytest.mark.parametrize(
    ("request_", "output", "binary"),
    [
        (None, None, False),
        (True, None, True),
        (False, None, False),
        (None, True, True),
        (True, False, False),
        (False, True, True),
    ],
)
def test_which_outputs_are_binary(request_: Any, output: Any, binary: bool) -> None:
    document = {
        "inputs": [INPUT],
        "parameters": {"binary_data_output": request_},
        "outputs": [{"name": "output", "parameters": {"binary_data": output}}],
    }
    assert [each.binary for each in _read(document).outputs] == [binary]


def test_parameters_that_mean_nothing_pass() -> None:
    request = _read(
        {
            "inputs": [{**INPUT, "parameters": {"content_type": "np"}}],
            "parameters": {
                "priority": 0,
                "sequence_id": 0,
                "sequence_start": False,
                "sequence_end": None,
                "timeout": 0,
                "content_type": "np",
            },
            "outputs": [{"name": "output", "parameters": {"classification": 0}}],
        }
    )
    assert (request.timeout_us, request.outputs[0].classes) == (0, 0)


@pytest.mark.parametrize("count", [2, 3, 99])
def test_classification(count: int) -> None:
    asked = {"name": "output", "parameters": {"classification": count}}
    request = _read({"inputs": [{**INPUT, "shape": [2, 3], "data": [0] * 6}], "outputs": [asked]})
    rows = np.array([[0.25, np.nan, 7], [3, 3, -1]], np.float32)
    [told] = json.loads(write_answer(MODEL, request, [rows]).body)["outputs"]
    assert (told["datatype"], told["shape"]) == ("BYTES", [2, min(count, 3)])
    first, second = (
        ["7.000000:2", "0.250000:0", "nan:1"],
        ["3.000000:0", "3.000000:1", "-1.000000:2"],
    )
    assert told["data"] == first[:count] + second[:count]
    [told] = json.loads(write_answer(MODEL, request, [np.array([5, 2**64 - 1], np.uint64)]).body)[
        "outputs"
    ]
    assert told["data"] == [f"{2**64 - 1}:1", "5:0"]
    with pytest.raises(RequestError, match="classification is for numbers"):
        write_answer(MODEL, request, [np.array([["a"], ["b"]], object)])


def test_answer_in_json_and_in_bytes() -> None:
    tensor = np.array([[1, 2, 3]], np.uint8)
    answer = write_answer(MODEL, _read({"inputs": [INPUT], "id": "7"}), [tensor])
    assert answer.json_bytes is None
    head = {"name": "output", "datatype": "UINT8", "shape": [1, 3]}
    assert json.loads(answer.body) == {
        "model_name": "null",
        "model_version": "1",
        "id": "7",
        "outputs": [{**head, "data": [1, 2, 3]}],
    }
    answer = write_answer(TWIN, read_request(TWIN, b"abc", 0), [tensor])
    assert answer.json_bytes is not None
    assert answer.body[answer.json_bytes :] == b"\1\2\3"
    assert json.loads(answer.body[: answer.json_bytes]) == {
        "model_name": "null",
        "model_version": "1",
        "parameters": {"notice": "twin: answers are meaningless"},
        "outputs": [{**head, "parameters": {"binary_data_size": 3}}],
    }


@pytest.mark.parametrize(
    ("document", "binary", "message"),
    [
        ([], None, "Expected `object`, got `array`"),
        ({}, None, "required field `inputs`"),
        ({"inputs": []}, None, "input input is missing"),
        ({"inputs": [{**INPUT, "name": "x"}]}, None, "no input 'x': it has input"),
        ({"inputs": [{**INPUT, "name": "x" * 999}]}, None, "length <= 256"),
        ({"inputs": [INPUT, INPUT]}, None, "given twice"),
        (
            {"inputs": [{**INPUT, "datatype": "FP32"}]},
            None,
            r"UINT8 \[-1, -1\].* not FP32 \[1, 3\]",
        ),
        ({"inputs": [{**INPUT, "shape": [3]}]}, None, r"not UINT8 \[3\]"),
        ({"inputs": [{**INPUT, "shape": [1, 3, 1]}]}, None, r"not UINT8 \[1, 3, 1\]"),
        ({"inputs": [{**INPUT, "shape": [-1, 3]}]}, None, ">= 1"),
        ({"inputs": [{**INPUT, "shape": [0, 3]}]}, None, ">= 1"),
        ({"inputs": [{**INPUT, "shape": [1, 2**64]}]}, None, "out of range|<= 9223372036854775807"),
        ({"inputs": [{**INPUT, "shape": [1] * 65}]}, None, "length <= 64"),
        ({"inputs": [{**INPUT, "shape": "3"}]}, None, "Expected `array`"),
        ({"inputs": [{k: v for k, v in INPUT.items() if k != "data"}]}, None, "neither data nor"),
        ({"inputs": [BINARY]}, b"ab", "ends within input input, of 3 bytes"),
        ({"inputs": [BINARY]}, b"abcd", "goes on for 1 bytes after"),
        ({"inputs": [BINARY]}, None, "ends within"),
        ({"inputs": [{**BINARY, "shape": [2, 3]}]}, b"abc", "takes 6 bytes, not 3"),
        ({"inputs": [{**BINARY, "shape": [10**9, 10**9]}]}, b"abc", "bytes, not 3"),
        (
            {"inputs": [{**BINARY, "parameters": {"binary_data_size": -1}}]},
            b"abc",
            ">= 0",
        ),
        (
            {"inputs": [{**BINARY, "parameters": {"binary_data_size": 10**30}}]},
            b"abc",
            "takes 3 bytes, not 1000",
        ),
        *(
            ({"inputs": [INPUT], "parameters": {name: value}}, None, name)
            for name, value in (
                ("priority", 1),
                ("priority", "high"),
                ("sequence_id", 5),
                ("sequence_id", "a"),
                ("sequence_start", True),
                ("sequence_end", True),
                ("content_type", "pd"),
                ("timeout", -1),
                ("timeout", "1s"),
                ("binary_data", True),
                ("classification", 1),
                ("no_such", None),
            )
        ),
        *(
            ({"inputs": [{**INPUT, "parameters": {name: value}}]}, None, name)
            for name, value in (
                ("shared_memory_region", "a"),
                ("shared_memory_offset", 0),
                ("shared_memory_byte_size", 3),
                ("content_type", "base64"),
                ("classification", 1),
                ("no_such", 1),
            )
        ),
        *(
            (
                {"inputs": [INPUT], "outputs": [{"name": "output", "parameters": {name: value}}]},
                None,
                name,
            )
            for name, value in (
                ("shared_memory_region", "a"),
                ("shared_memory_byte_size", 3),
                ("binary_data_size", 3),
                ("classification", -1),
                ("classification", "3"),
                ("no_such", 1),
            )
        ),
        ({"inputs": [INPUT], "outputs": [{"name": "x"}]}, None, "no output 'x': it has output"),
        ({"inputs": [INPUT], "outputs": [{"name": "output"}] * 2}, None, "asked for twice"),
        ({"inputs": [INPUT], "id": 7}, None, "Expected `str | null`"),
    ],
)
def test_refused(document: Any, binary: bytes | None, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        _read(document, binary)


@pytest.mark.parametrize(
    ("body", "json_bytes", "message"),
    [
        (b"", None, "truncated"),
        (b"{", None, "truncated"),
        (b'{"inputs": [{"data": [NaN]}]}', None, "malformed"),
        (b'{"inputs": ' + b"[" * 100_000, None, "cannot be read|no inference request"),
        (b'{"x": ' + b"[" * 100_000, None, "recursion"),
        (b"{}", 3, "is 3, but the body has 2 bytes"),
        (b"{}", 10**17, "but the body has 2 bytes"),
        (b'{"inputs": []}', 5, "truncated"),
    ],
)
def test_unreadable(body: bytes, json_bytes: int | None, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_request(MODEL, body, json_bytes)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["inputs", "outputs", "name", "shape", "datatype", "data", "id"]), inner
        )
    ),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {
        "inputs": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["input", "x"]),
                    "shape": st.lists(st.integers(-1, 4), max_size=3) | JSON,
                    "datatype": st.sampled_from(["UINT8", "FP32", "BYTES", "?"]),
                },
                optional={
                    "data": JSON,
                    "parameters": st.fixed_dictionaries(
                        {"binary_data_size": st.integers(-2, 9) | JSON}
                    ),
                },
            ),
            max_size=2,
        )
    },
    optional={"outputs": JSON, "parameters": JSON, "id": JSON},
)


@settings(max_examples=500)
@given(
    st.one_of(st.binary(max_size=40), (JSON | NEARLY).map(lambda v: json.dumps(v).encode())),
    st.binary(max_size=9),
    st.none() | st.integers(0, 200),
    st.booleans(),
)
def test_any_bytes_are_a_request_or_refused(
    text: bytes, binary: bytes, length: int | None, honest: bool
) -> None:
    with contextlib.suppress(RequestError):
        request = read_request(MODEL, text + binary, len(text) if honest and text else length)
        for tensor in request.inputs.values():
            assert tensor.decode().shape == tensor.shape
