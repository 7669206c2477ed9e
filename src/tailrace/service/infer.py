"""The work on one request of the Open Inference Protocol v2, and its route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from tailrace.models.model import Model
from tailrace.service.bodies import read_body
from tailrace.service.calls import Answer, Answerer, Call
from tailrace.service.endpoint import compute
from tailrace.service.errors import RequestError, UnknownModelError
from tailrace.service.infer_messages import (
    VERSION,
    InferAnswer,
    InferRequest,
    read_request,
    write_answer,
)
from tailrace.service.service import Service
from tailrace.service.stages import DECODE, StageClock

_LENGTH_HEADER = b"inference-header-content-length"
_LONGEST_LENGTH = 18


class TensorWork:
    """An inference on the tensors of a request. See `tailrace.service.work.Work`."""

    def __init__(self, model: Model, request: InferRequest, clock: StageClock) -> None:
        """Requests whose tensors have equal shapes but for the rows, and that want the same
        outputs, are of one kind."""
        self.model = model
        self.clock = clock
        self.outputs = tuple(output.name for output in request.outputs)
        shapes = {name: tensor.shape for name, tensor in request.inputs.items()}
        self.rows = request.rows(model)
        self.kind = tuple((name, shapes[name][1:]) for name in sorted(shapes)), self.outputs
        self._request = request

    def prepare(self) -> Mapping[str, NDArray[Any]]:
        """See Work.

        Raises:
            RequestError: the elements of a tensor are not what it says of them.
        """
        tensors: dict[str, NDArray[Any]] = {}
        for name, tensor in self._request.inputs.items():
            try:
                tensors[name] = tensor.decode()
            except RequestError as error:
                raise RequestError(f"input {name}: {error}") from error
        self.clock.end(DECODE)
        return tensors

    def finish(self, tensors: Sequence[NDArray[Any]]) -> InferAnswer:
        """The answer's body."""
        return write_answer(self.model, self._request, tensors)


def infer(service: Service) -> Answerer:
    """Answers `POST /v2/models/{model}[/versions/{version}]/infer`."""

    body_limit_bytes = service.config.body_limit_bytes

    async def answer(call: Call) -> Answer:
        name, version = model_of(call), _version(call)
        if version != VERSION:
            raise no_version(name, version)
        model = service.model(name)
        json_bytes = _json_bytes(call)
        body = await read_body(call, body_limit_bytes)
        request = read_request(model, body, json_bytes)
        work = TensorWork(model, request, call.clock)
        done = await compute(service, call, work, request.timeout_us * 1000 or None)
        if done.json_bytes is None:
            return Answer(done.body)
        length = _LENGTH_HEADER, b"%d" % done.json_bytes
        return Answer(done.body, b"application/octet-stream", (length,))

    return answer


def model_of(call: Call) -> str:
    """The name in a path `/v2/models/{model}/…`."""
    return _path(call)[3]


def no_version(name: str, version: str) -> UnknownModelError:
    """What to raise for a version of a model that there is not."""
    return UnknownModelError(f"{name} has no version {version!r}: there is {VERSION}")


def _version(call: Call) -> str:
    path = _path(call)
    return path[5] if path[4] == "versions" else VERSION


def _path(call: Call) -> list[str]:
    return call.path.split("/")


def _json_bytes(call: Call) -> int | None:
    text = call.header(_LENGTH_HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_LENGTH):
        raise RequestError(f"Inference-Header-Content-Length is a number of bytes, not {text!r}")
    return int(text)
