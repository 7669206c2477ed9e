"""The system under test of MLPerf's LoadGen over the network, as its demonstration speaks to one.

`POST /predict/` takes `{"query": …}` and answers `{"result": …}`, text, since the client of the
demonstration encodes it. `/getname/` answers the system's name, which by MLPerf's rules contains
"Network SUT" and differs from node to node.
"""

from __future__ import annotations

import base64
import socket

import msgspec
from starlette.requests import Request

from tailrace.models.images import ImageError
from tailrace.service.bodies import Body, read_body
from tailrace.service.calls import Answer, Answerer, Call
from tailrace.service.config import ServiceConfig
from tailrace.service.endpoint import compute
from tailrace.service.errors import RequestError
from tailrace.service.predict import PictureWork
from tailrace.service.service import Service


class _Sample(msgspec.Struct, frozen=True):
    query: msgspec.Raw


_SAMPLES = msgspec.json.Decoder(_Sample)


def predict(service: Service) -> Answerer:
    """Answers `POST /predict/` from the first model served: the query is a JPEG or PNG in base64,
    the result what `/predict/{model}` answers to it. The null model takes any query."""

    body_limit_bytes = service.config.body_limit_bytes

    async def answer(call: Call) -> Answer:
        model = service.model(service.config.models[0])
        query = _query(await read_body(call, body_limit_bytes))
        work = PictureWork(model, lambda: _picture(query), 0.0, call.clock)
        try:
            found = await compute(service, call, work)
        except ImageError as error:
            raise type(error)(f"the query is no picture in base64: {error}") from error
        return Answer(msgspec.json.encode({"result": found.decode()}))

    return answer


def system_name(config: ServiceConfig, request: Request) -> str:
    """Name of this system and node: of its models, its host, and the port `request` came to."""
    _, port = request.scope["server"]
    notice = f" ({config.notice})" if config.notice else ""
    models = ", ".join(config.models)
    return f"Tailrace {models} Network SUT {socket.gethostname()}:{port}{notice}"


def _query(body: Body) -> bytes:
    try:
        return bytes(_SAMPLES.decode(body).query)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise RequestError(f'the body is not {{"query": …}} in JSON: {error}') from error


def _picture(query: bytes) -> bytes:
    try:
        return base64.b64decode(msgspec.json.decode(query, type=str))
    except (msgspec.MsgspecError, ValueError):
        # Whatever it is then, the model says that it is no picture.
        return query
