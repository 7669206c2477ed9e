"""A node of a system over the network: where it is, what it serves, and what it calls itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar
from urllib.parse import quote, unquote

import msgspec

from tailrace.errors import TailraceError, UsageError
from tailrace.load.client.dialer import Dialer
from tailrace.load.client.request import encode_requests
from tailrace.load.client.target import Target, Tls, parse_target, without_credentials
from tailrace.mlperf.network.answer import Answer, ExchangeError, error_text
from tailrace.mlperf.network.pool import Limits, Pool
from tailrace.mlperf.network.wire import BINARY_EXTENSION, PictureWire, TensorWire, Wire
from tailrace.mlperf.system import Payload
from tailrace.models.runtimes import TensorInfo
from tailrace.models.zoo.spec import Format, ModelSpec

_READY_PATH = "/v2/health/ready"
_SERVER_PATH = "/v2"
_NAME_PATH = "/getname/"
_ANSWER_WITHIN_S = 10.0
_PAUSE_S = 0.2
# What people copy: the address of a model or a route, rather than the server's.
_ROUTE = re.compile(r"(.*?)/(?:predict(?:/([^/]*))?|v2(?:/models/([^/]+))?(?:/.*)?)/?")
_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
_ADVICE = {
    "connect": "is it running, and the address right?",
    "protocol": "is it the right port?",
    "reset": "is it the right port, and http or https?",
    "timeout": "is it the right port?",
}


@dataclass(frozen=True, slots=True)
class Served:
    """What a node has to do with the model that is tested."""

    form: Format
    wire: Wire


class Node:
    """One server, by its base URL. Of `ask` and all that asks, to be used on one event loop.

    Args:
        url: of the server; that of its route to the model is understood.
        model: what the server calls the model.
        headers: sent with every request.
        tls: how its certificate is checked.

    Raises:
        UsageError: the URL, a header or the file of trusted authorities cannot be used, or the URL
            is of another model.
    """

    def __init__(
        self, url: str, model: str, headers: Mapping[str, str], tls: Tls | None = None
    ) -> None:
        self.target = _base(url, model)
        """Its path is what stands before those of the routes."""
        target = self.target
        self.url = f"{'https' if target.tls else 'http'}://{target.authority}{target.path}"
        self.model = model
        self.dialer = Dialer(target.endpoint(tls))
        self._headers = headers
        self._tailrace = False
        limits = Limits(connections=4, timeout_s=_ANSWER_WITHIN_S)
        self._questions = Pool(self.dialer, target.authority, limits, keep_alive=False)
        self._encode("GET", _SERVER_PATH)

    async def probe(self, spec: ModelSpec, payload: Payload, ready_within_s: float) -> Served:
        """Finds out whether the node can be tested, waiting for its model to be loaded.

        Raises:
            UsageError: it takes no such payload, or what it serves is not the model.
            TailraceError: it cannot be reached, is no such server, demands a token, does not become
                ready in time, or does not serve the model.
        """
        await self._wait_until_ready(ready_within_s)
        server = await self._server()
        self._tailrace = server.name == "tailrace"
        if payload == "picture" and not self._tailrace:
            raise UsageError(
                f"{self.url} is {server.name or 'unknown'}, not Tailrace, and takes no pictures: "
                "use --payload tensor"
            )
        form = await self._form(spec, server)
        if payload == "picture":
            return Served(form, PictureWire(self.target, self.model, spec.task, self._headers))
        binary = BINARY_EXTENSION in server.extensions
        return Served(form, TensorWire(self.target, self.model, form, binary, self._headers))

    async def name(self) -> str:
        """What it calls itself, asked now; contains "Network SUT" and host and port.

        Raises:
            TailraceError: it cannot be asked.
        """
        if self._tailrace:
            return (await self._read(_NAME_PATH, _Name)).name
        server = await self._server()
        words = [word for word in (server.name, server.version) if word]
        return " ".join([*words, "Network SUT", self.target.authority])

    def close(self) -> None:
        """Ends what is being asked."""
        self._questions.close()

    async def _wait_until_ready(self, within_s: float) -> None:
        ends_s = monotonic() + within_s
        while not await self._is_ready():
            if monotonic() > ends_s:
                raise TailraceError(
                    f"{self.url} has not become ready within {within_s:g} s: see what it logs"
                )
            await asyncio.sleep(_PAUSE_S)

    async def _is_ready(self) -> bool:
        answer = await self._ask(_READY_PATH)
        # 400 without a body is Triton's; 502 and 504 those of a proxy in front.
        if answer.status in (502, 503, 504) or (answer.status == 400 and not answer.body):
            return False
        if answer.status != 200:
            raise self._refused(_READY_PATH, answer)
        return True

    async def _server(self) -> _Server:
        return await self._read(_SERVER_PATH, _Server)

    async def _form(self, spec: ModelSpec, server: _Server) -> Format:
        path = f"/v2/models/{quote(self.model, safe='')}"
        answer = await self._ask(path)
        if answer.status in (400, 404):
            raise await self._not_served(server, answer)
        served = self._understand(path, answer, _Model)
        for form in spec.formats:
            if not _difference(form, served):
                return form
        difference = _difference(spec.formats[0], served)
        raise UsageError(f"{self.model} at {self.url} is not {spec.name}: {difference}")

    async def _not_served(self, server: _Server, answer: Answer) -> TailraceError:
        names: Sequence[str] = ()
        try:
            if self._tailrace:
                names = msgspec.json.decode(server.service, type=_Service).models
            else:
                # Triton's extension for its repository; others have it too.
                listed = await self._ask("/v2/repository/index", "POST")
                names = [each.name for each in msgspec.json.decode(listed.body, type=list[_Name])]
        except _UNREADABLE:
            pass
        there = f"it has {', '.join(names)}" if names else error_text(answer.body)
        return TailraceError(
            f"{self.url} does not serve {self.model}{': ' if there else ''}{there}; "
            "--remote-name is what it calls the model"
        )

    async def _read(self, path: str, kind: type[_T]) -> _T:
        return self._understand(path, await self._ask(path), kind)

    def _understand(self, path: str, answer: Answer, kind: type[_T]) -> _T:
        if not 200 <= answer.status < 300:
            raise self._refused(path, answer)
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except _UNREADABLE as error:
            raise TailraceError(
                f"{self.url} is no server of the Open Inference Protocol v2 (GET {path}: {error}): "
                "is it the right port?"
            ) from error

    async def _ask(self, path: str, method: str = "GET") -> Answer:
        try:
            return await self._questions.ask(self._encode(method, path))
        except ExchangeError as error:
            kind, message = error.failure
            advice = f": {_ADVICE[kind]}" if kind in _ADVICE else ""
            raise TailraceError(f"{message}{advice}") from error

    def _encode(self, method: str, path: str) -> bytes:
        target = msgspec.structs.replace(self.target, path=self.target.path + path)
        # A connection of its own each time: none that the server may be about to close.
        headers = {**self._headers, "Connection": "close"}
        (request,) = encode_requests(target, method, list(headers.items()), [])
        return request.head

    def _refused(self, path: str, answer: Answer) -> TailraceError:
        status = answer.status
        if status in (401, 403):
            if any(name.lower() == "authorization" for name in self._headers):
                return TailraceError(f"{self.url} does not accept the token it is sent ({status})")
            return TailraceError(
                f"{self.url} demands a token ({status}): --header 'Authorization: Bearer TOKEN'"
            )
        said = error_text(answer.body)
        return TailraceError(
            f"{self.url} is no server of the Open Inference Protocol v2 (GET {path} answered "
            f"{status}{': ' if said else ''}{said}): write http://HOST:PORT of one"
        )


_T = TypeVar("_T")


class _Service(msgspec.Struct):
    models: tuple[str, ...] = ()


class _Server(msgspec.Struct):
    name: str
    version: str = ""
    extensions: tuple[str, ...] = ()
    service: msgspec.Raw = msgspec.Raw(b"{}")
    """Tailrace's own."""


class _Name(msgspec.Struct):
    name: str


class _Tensor(msgspec.Struct):
    name: str
    datatype: str
    shape: tuple[int, ...]


class _Model(msgspec.Struct):
    inputs: tuple[_Tensor, ...]
    outputs: tuple[_Tensor, ...]


def _base(url: str, model: str) -> Target:
    target = parse_target(url)
    path, question, _ = target.path.partition("?")
    if question:
        raise UsageError(
            f"{without_credentials(url)} has a query: write the server alone, http://HOST:PORT"
        )
    if route := _ROUTE.fullmatch(path):
        path = route[1]
        named = unquote(route[2] or route[3] or "")
        if named not in ("", model):
            raise UsageError(
                f"{without_credentials(url)} is of {named}, but what is tested is {model}"
            )
    return msgspec.structs.replace(target, path=path.rstrip("/"))


def _difference(form: Format, served: _Model) -> str:
    inputs = {tensor.name: tensor for tensor in served.inputs}
    if list(inputs) != [form.input.name]:
        return f"its input is {', '.join(inputs) or 'nothing'}, not {form.input.name}"
    outputs = [tensor.name for tensor in served.outputs]
    if missing := [name for name in form.outputs if name not in outputs]:
        return f"it lacks the output {', '.join(missing)} (it has {', '.join(outputs)})"
    found = inputs[form.input.name]
    if found.datatype != form.input.datatype or not _takes_one(found.shape, form.input):
        return (
            f"its input {found.name} is {found.datatype} {list(found.shape)}, "
            f"not {form.input.datatype} {list(form.input.shape)}"
        )
    return ""


def _takes_one(found: Sequence[int], wanted: TensorInfo) -> bool:
    # A batch of one, whatever else the server leaves open.
    return len(found) == len(wanted.shape) and all(
        size in (-1, want) or want == -1
        for size, want in zip(found, (1, *wanted.shape[1:]), strict=True)
    )
