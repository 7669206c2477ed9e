"""A request to a hot route, and its answer: with as little between them and the wire as it takes.

Starlette's Request and Response parse and check more than these routes need; beside a light model
that is a good part of the time a request takes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import parse_qs

from starlette.types import Message, Receive, Scope, Send

from tailrace.http.connection import CLIENT, Client
from tailrace.service.errors import BusyError
from tailrace.service.stages import StageClock

JSON = b"application/json"
_OK = 200


class Call:
    """One request, timed from now on. What there is to know of it is looked up when asked for."""

    __slots__ = ("_client", "_receive", "_scope", "clock", "path")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        """Starts the clock."""
        self.clock = StageClock()
        self.path: str = scope["path"]
        # Another server than ours does not tell.
        self._client: Client | None = scope.get(CLIENT)
        self._scope = scope
        self._receive = receive

    @property
    def port(self) -> int:
        """The port that it came to."""
        port: int = self._scope["server"][1]
        return port

    def header(self, name: bytes) -> str | None:
        """The first header of this name, in lower case; None if there is none."""
        for each, value in self._scope["headers"]:
            if each == name:
                text: str = value.decode("latin-1")
                return text
        return None

    def query(self, name: str) -> str | None:
        """The last value of a name in the query string; None if it is not there."""
        if not self._scope["query_string"]:
            return None
        text = self._scope["query_string"].decode("latin-1")
        values = parse_qs(text, keep_blank_values=True).get(name)
        return values[-1] if values else None

    def on_gone(self, what: Callable[[], None] | None) -> None:
        """Takes what to call if the client leaves from now on; None takes it back."""
        if self._client is not None:
            self._client.on_gone(what)

    def hold(self, count: int) -> None:
        """Notes that the request takes `count` bytes more than it has sent, until it is answered.

        Raises:
            BusyError: that is too much, together with the bodies of all others.
        """
        if self._client is not None and not self._client.hold(count):
            raise BusyError("too many bodies are at hand: try again in a second")

    async def receive(self) -> Message:
        """The next part of the body; see ASGI."""
        return await self._receive()


class Answer(NamedTuple):
    """A 200 with its body."""

    body: bytes
    media_type: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = ()

    async def send(self, send: Send, *more: tuple[bytes, bytes]) -> None:
        """Sends it, with `more` headers; ASGI."""
        headers = [
            (b"content-type", self.media_type),
            (b"content-length", b"%d" % len(self.body)),
            *self.headers,
            *more,
        ]
        await send({"type": "http.response.start", "status": _OK, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Answerer(Protocol):
    """Answers one call of a model, and stamps its clock."""

    def __call__(self, call: Call, /) -> Awaitable[Answer]:
        """The answer; raises a RequestError to refuse."""
