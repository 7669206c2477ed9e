"""Inference requests and answers of the Open Inference Protocol v2, with its binary extension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from numpy.typing import NDArray

from tailrace.models.model import Model
from tailrace.models.runtimes import TensorInfo
from tailrace.service.bodies import Body
from tailrace.service.errors import RequestError
from tailrace.service.infer_parameters import (
    InputParameters,
    OutputParameters,
    RequestParameters,
)
from tailrace.service.tensors import (
    WireTensor,
    datatype_of,
    encode_binary,
    encode_json,
    highest,
    size_bytes,
)

VERSION = "1"
"""The only version of each model."""


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output tensor that a request asks for."""

    name: str
    binary: bool
    classes: int = 0
    """How many of the highest elements of a row are to be told, in place of all; 0 is all."""


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request that fits its model, but for the elements of its tensors."""

    id: str | None
    inputs: dict[str, WireTensor]
    outputs: tuple[WantedOutput, ...]
    timeout_us: int = 0
    """When the answer is no longer wanted; 0 is never."""

    def rows(self, model: Model) -> int:
        """Size of its part of a batch."""
        return self.inputs[model.format.input.name].shape[0]


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """The body of an answer."""

    body: bytes
    json_bytes: int | None
    """Length of the JSON before the binary tensors; None where it is all there is."""


# What is said back in an error should not be as long as a body.
_Name = Annotated[str, msgspec.Meta(max_length=256)]
_Size = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class _Input(msgspec.Struct, frozen=True):
    name: _Name
    shape: Annotated[tuple[_Size, ...], msgspec.Meta(max_length=64)]
    datatype: _Name
    parameters: InputParameters | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Output(msgspec.Struct, frozen=True):
    name: _Name
    parameters: OutputParameters | None = None


class _Request(msgspec.Struct, frozen=True):
    inputs: tuple[_Input, ...]
    outputs: tuple[_Output, ...] | None = None
    id: str | None = None
    parameters: RequestParameters | None = None


class _OutputAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int] | None = None
    data: msgspec.Raw | None = None


class _Answer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, str] | None = None
    outputs: list[_OutputAnswer]


_REQUESTS = msgspec.json.Decoder(_Request)


def read_request(model: Model, body: Body, json_bytes: int | None) -> InferRequest:
    """The request in `body`, its tensors as views of it.

    `json_bytes` is the length of the JSON before the binary tensors; None where it is all there
    is, 0 where the body is the bytes of the model's only input. The answer is binary then.

    Raises:
        RequestError: it is not a request of the protocol, or not one for this model.
    """
    if json_bytes == 0:
        request, binary = _raw_request(model, len(body)), memoryview(body)
    else:
        end = len(body) if json_bytes is None else json_bytes
        if end > len(body):
            raise RequestError(
                f"Inference-Header-Content-Length is {end}, but the body has {len(body)} bytes"
            )
        request, binary = _read_json(memoryview(body)[:end]), memoryview(body)[end:]
    inputs = _inputs(model, request.inputs, binary)
    timeout_us = request.parameters.timeout if request.parameters else None
    return InferRequest(request.id, inputs, _outputs(model, request), timeout_us or 0)


def write_answer(
    model: Model, request: InferRequest, tensors: Sequence[NDArray[Any]]
) -> InferAnswer:
    """The answer to `request`, from a tensor for each of its outputs."""
    outputs: list[_OutputAnswer] = []
    binary: list[memoryview] = []
    for wanted, array in zip(request.outputs, tensors, strict=True):
        if wanted.classes:
            array = highest(array, wanted.classes, request.rows(model))
        described = wanted.name, datatype_of(array), array.shape
        if wanted.binary:
            binary.append(encode_binary(array))
            size = {"binary_data_size": binary[-1].nbytes}
            outputs.append(_OutputAnswer(*described, parameters=size))
        else:
            outputs.append(_OutputAnswer(*described, data=msgspec.Raw(encode_json(array))))
    notice = {"notice": model.notice} if model.notice else None
    document = msgspec.json.encode(
        _Answer(
            model_name=model.spec.name,
            model_version=VERSION,
            id=request.id,
            parameters=notice,
            outputs=outputs,
        )
    )
    if not binary:
        return InferAnswer(document, None)
    return InferAnswer(b"".join([document, *binary]), len(document))


def _read_json(text: memoryview) -> _Request:
    try:
        return _REQUESTS.decode(text)
    except msgspec.ValidationError as error:
        raise RequestError(f"this is no inference request: {error}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RequestError(f"the inference request cannot be read: {error}") from error


def _raw_request(model: Model, size: int) -> _Request:
    first, *others = model.runtime.inputs
    shape = list(first.shape)
    free = [axis for axis, length in enumerate(shape) if length < 0]
    if len(free) > 1 and free[0] == 0:
        shape[free.pop(0)] = 1
    if others or len(free) > 1 or first.datatype == "BYTES":
        raise RequestError(
            "Inference-Header-Content-Length 0 is for models of one input whose shape follows from "
            f"its size: describe those of {model.spec.name} in JSON"
        )
    for axis in free:
        shape[axis] = 1
        unit = size_bytes(first.datatype, shape) or 1
        shape[axis] = max(size // unit, 1)
    given = _Input(first.name, tuple(shape), first.datatype, InputParameters(binary_data_size=size))
    return _Request((given,), parameters=RequestParameters(binary_data_output=True))


def _inputs(model: Model, given: Sequence[_Input], binary: memoryview) -> dict[str, WireTensor]:
    expected = {info.name: info for info in model.runtime.inputs}
    tensors: dict[str, WireTensor] = {}
    for tensor in given:
        info = expected.get(tensor.name)
        if info is None:
            raise RequestError(
                f"{model.spec.name} has no input {tensor.name!r}: it has {', '.join(expected)}"
            )
        if tensor.name in tensors:
            raise RequestError(f"input {tensor.name} is given twice")
        _check(tensor, info)
        size = tensor.parameters.binary_data_size if tensor.parameters else None
        if size is not None:
            data, binary = _cut(tensor, size, binary), binary[size:]
        elif tensor.data is msgspec.UNSET:
            raise RequestError(f"input {tensor.name} has neither data nor binary_data_size")
        else:
            data = memoryview(tensor.data)
        tensors[tensor.name] = WireTensor(tensor.datatype, tensor.shape, data, size is not None)
        _check_rows(model, tensor)
    if missing := [name for name in expected if name not in tensors]:
        raise RequestError(f"input {', '.join(missing)} is missing")
    if binary:
        raise RequestError(f"the body goes on for {len(binary)} bytes after its last tensor")
    return tensors


def _check(tensor: _Input, info: TensorInfo) -> None:
    fits = len(tensor.shape) == len(info.shape) and all(
        size in (given, -1) for given, size in zip(tensor.shape, info.shape, strict=True)
    )
    if tensor.datatype != info.datatype or not fits:
        raise RequestError(
            f"input {info.name} is {info.datatype} {list(info.shape)}, where -1 is any size, not "
            f"{tensor.datatype} {list(tensor.shape)}"
        )


def _check_rows(model: Model, tensor: _Input) -> None:
    if model.max_batch is not None and tensor.shape[0] > model.max_batch:
        raise RequestError(
            f"{model.spec.name} takes {model.max_batch} at a time, not {tensor.shape[0]}"
        )


def _cut(tensor: _Input, size: int, binary: memoryview) -> memoryview:
    wanted = size_bytes(tensor.datatype, tensor.shape)
    if wanted not in (size, None):
        raise RequestError(
            f"input {tensor.name}, {tensor.datatype} {list(tensor.shape)}, takes {wanted} bytes, "
            f"not {size}"
        )
    if size > len(binary):
        raise RequestError(f"the body ends within input {tensor.name}, of {size} bytes")
    return binary[:size]


def _outputs(model: Model, request: _Request) -> tuple[WantedOutput, ...]:
    there = [info.name for info in model.runtime.outputs]
    everything = bool(request.parameters and request.parameters.binary_data_output)
    if not request.outputs:
        return tuple(WantedOutput(name, everything) for name in there)
    wanted: dict[str, WantedOutput] = {}
    for output in request.outputs:
        if output.name not in there:
            raise RequestError(
                f"{model.spec.name} has no output {output.name!r}: it has {', '.join(there)}"
            )
        if output.name in wanted:
            raise RequestError(f"output {output.name} is asked for twice")
        asked = output.parameters or OutputParameters()
        binary = everything if asked.binary_data is None else asked.binary_data
        wanted[output.name] = WantedOutput(output.name, binary, asked.classification or 0)
    return tuple(wanted.values())
