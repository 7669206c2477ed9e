"""How samples become requests, and answers become records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, Protocol
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.errors import TailraceError
from tailrace.load.client.request import COUNTER, Body, encode_requests
from tailrace.load.client.target import Target
from tailrace.mlperf.network.answer import Answer
from tailrace.mlperf.network.exchange import Buffers
from tailrace.mlperf.records import ROW, record
from tailrace.mlperf.system import Record, Sample
from tailrace.models.outputs import Classes, Detections
from tailrace.models.runtimes.datatypes import DTYPES
from tailrace.models.zoo.spec import Format, Task
from tailrace.service.errors import RequestError
from tailrace.service.tensors import (
    decode_binary,
    decode_json,
    encode_binary,
    encode_json,
)

BINARY_EXTENSION = "binary_tensor_data"
"""How GET /v2 lists the binary tensor extension."""

_TENSORS = "application/octet-stream"
_JSON = "application/json"
_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
_UNFIT = (ArithmeticError, LookupError, TypeError, ValueError)
"""What computing with tensors raises that are not the ones expected."""


class AnswerError(TailraceError):
    """An answer is not one to what was asked."""


class Wire(Protocol):
    """What goes to one node and comes from it."""

    def encode(self, sample: Sample) -> Buffers:
        """The HTTP request for a sample, head and body."""

    def decode(self, sample: Sample, answer: Answer) -> Record:
        """What a successful answer says of a sample.

        Raises:
            AnswerError: it is no answer to it.
        """


class PictureWire:
    """A picture to `POST /predict/{model}` of a Tailrace service, JSON back."""

    def __init__(self, target: Target, model: str, task: Task, headers: Mapping[str, str]) -> None:
        """`target` has the base URL's path.

        Raises:
            UsageError: a header cannot be written in HTTP.
        """
        self._head = _head(target, f"/predict/{quote(model, safe='')}", headers, _TENSORS)
        self._model = model
        self._detects = task == "detection"

    def encode(self, sample: Sample) -> Buffers:
        """See Wire."""
        picture = sample.content
        assert isinstance(picture, bytes)
        return b"%s%d\r\n\r\n" % (self._head, len(picture)), picture

    def decode(self, sample: Sample, answer: Answer) -> Record:
        """See Wire."""
        try:
            found = _PREDICTIONS.decode(answer.body)
        except _UNREADABLE as error:
            raise AnswerError(f"the answer is no prediction: {error}") from error
        if found.model != self._model:
            raise AnswerError(f"the answer is of {found.model!r}, not of {self._model}")
        if not self._detects:
            if not found.classes:
                raise AnswerError("the answer names no class")
            return np.array([found.classes[0].class_id], np.float32)
        rows = found.detections
        if rows is msgspec.UNSET:
            raise AnswerError("the answer has no detections")
        try:
            with np.errstate(over="raise"):
                return record(sample, _detections(rows))
        except FloatingPointError as error:
            raise AnswerError("the answer has a number beyond FP32") from error


class TensorWire:
    """An input tensor to `POST /v2/models/{model}/infer` of any server of the Open Inference
    Protocol v2, output tensors back."""

    def __init__(
        self, target: Target, model: str, form: Format, binary: bool, headers: Mapping[str, str]
    ) -> None:
        """`target` has the base URL's path; `binary` says that the server has the binary tensor
        extension.

        Raises:
            UsageError: a header cannot be written in HTTP.
        """
        path = f"/v2/models/{quote(model, safe='')}/infer"
        self._head = _head(target, path, headers, _TENSORS if binary else _JSON)
        self._form = form
        self._binary = binary
        self._heads: dict[tuple[int, ...], bytes] = {}
        parameters = {"parameters": {"binary_data": True}} if binary else {}
        self._outputs = [{"name": name} | parameters for name in form.outputs]

    def encode(self, sample: Sample) -> Buffers:
        """See Wire."""
        tensor = sample.content
        assert not isinstance(tensor, bytes)
        if not self._binary:
            body = self._json(tensor, {"data": msgspec.Raw(encode_json(tensor))})
            return b"%s%d\r\n\r\n" % (self._head, len(body)), body
        head = self._heads.get(tensor.shape)
        if head is None:
            # All but the elements is the same for every tensor of a shape.
            described = self._json(tensor, {"parameters": {"binary_data_size": tensor.nbytes}})
            head = b"%s%d\r\nInference-Header-Content-Length: %d\r\n\r\n%s" % (
                self._head,
                len(described) + tensor.nbytes,
                len(described),
                described,
            )
            self._heads[tensor.shape] = head
        return head, encode_binary(tensor)

    def decode(self, sample: Sample, answer: Answer) -> Record:
        """See Wire."""
        tensors = _read_tensors(answer, self._form.outputs)
        try:
            found = self._form.postprocess(tensors, sample.width_px, sample.height_px)
            answered = record(sample, found)
        except _UNFIT as error:
            raise AnswerError(f"the output tensors do not fit together: {error}") from error
        if not _is_whole(found, answered):
            shapes = ", ".join(str(list(tensor.shape)) for tensor in tensors)
            raise AnswerError(f"the output tensors do not fit together: {shapes}")
        return answered

    def _json(self, tensor: NDArray[Any], content: dict[str, Any]) -> bytes:
        wanted = self._form.input
        given = {"name": wanted.name, "shape": tensor.shape, "datatype": wanted.datatype, **content}
        return msgspec.json.encode({"inputs": [given], "outputs": self._outputs})


def _head(target: Target, path: str, headers: Mapping[str, str], content_type: str) -> bytes:
    # Up to where the value of Content-Length belongs; see Request.
    there = msgspec.structs.replace(target, path=target.path.rstrip("/") + path)
    (request,) = encode_requests(
        there, "POST", list(headers.items()), [Body(COUNTER, content_type)]
    )
    return request.head


_Number = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class _Detection(msgspec.Struct):
    class_id: _Number
    score: float
    box: tuple[float, float, float, float]


class _ImageClass(msgspec.Struct):
    class_id: _Number


class _Prediction(msgspec.Struct):
    model: str
    detections: list[_Detection] | msgspec.UnsetType = msgspec.UNSET
    classes: list[_ImageClass] | msgspec.UnsetType = msgspec.UNSET


class _Parameters(msgspec.Struct):
    binary_data_size: _Size | None = None


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: Annotated[tuple[_Size, ...], msgspec.Meta(max_length=64)]
    parameters: _Parameters | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Inference(msgspec.Struct):
    outputs: tuple[_Output, ...]


_PREDICTIONS = msgspec.json.Decoder(_Prediction)
_INFERENCES = msgspec.json.Decoder(_Inference)


def _detections(rows: Sequence[_Detection]) -> Detections:
    # Flat: half the time that numpy takes for tuples.
    flat = np.fromiter(chain.from_iterable([row.box for row in rows]), np.float32)
    return Detections(
        flat.reshape(-1, 4),
        np.array([row.score for row in rows], np.float32),
        np.array([row.class_id for row in rows], np.int64),
    )


def _read_tensors(answer: Answer, wanted: Sequence[str]) -> list[NDArray[Any]]:
    body = memoryview(answer.body)
    end = _json_bytes(answer)
    try:
        outputs = _INFERENCES.decode(body[:end]).outputs
    except _UNREADABLE as error:
        raise AnswerError(f"the answer is no inference: {error}") from error
    tensors: dict[str, NDArray[Any]] = {}
    for output in outputs:
        size = output.parameters.binary_data_size if output.parameters else None
        if size is not None and size > len(body) - end:
            raise AnswerError(f"the answer ends within the output {output.name}")
        try:
            tensors[output.name] = _tensor(output, body[end : end + (size or 0)])
        except (RequestError, ValueError) as error:
            # ValueError: a shape that numpy cannot have.
            raise AnswerError(f"output {output.name}: {error}") from error
        end += size or 0
    if end != len(body):
        raise AnswerError("the answer goes on after its last tensor")
    if missing := [name for name in wanted if name not in tensors]:
        raise AnswerError(f"the answer lacks the output {', '.join(missing)}")
    return [tensors[name] for name in wanted]


def _json_bytes(answer: Answer) -> int:
    text = answer.json_length
    if text is None:
        return len(answer.body)
    if not text.isdigit() or len(text) > 18 or int(text) > len(answer.body):
        raise AnswerError("the answer's Inference-Header-Content-Length is not within its body")
    return int(text)


def _tensor(output: _Output, binary: memoryview) -> NDArray[Any]:
    if output.datatype not in DTYPES:
        raise AnswerError(f"output {output.name} is {output.datatype}, which cannot be read here")
    if output.parameters is not None and output.parameters.binary_data_size is not None:
        return decode_binary(output.datatype, output.shape, binary)
    if output.data is msgspec.UNSET:
        raise AnswerError(f"output {output.name} has neither data nor binary_data_size")
    return decode_json(output.datatype, output.shape, memoryview(output.data))


def _is_whole(found: Detections | Classes, answered: Record) -> bool:
    if isinstance(found, Classes):
        return answered.shape == (1,)
    count = len(found.scores)
    return answered.shape == (count, ROW) and len(found.boxes) == len(found.class_ids) == count
