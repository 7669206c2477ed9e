"""A server that answers by path, in a thread of its own, as a service's stand-in does."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from tests.kit.server import Server


class Asked(NamedTuple):
    """A request that has come."""

    path: str
    headers: dict[str, str]
    body: bytes


Answerer = Callable[[Asked], Awaitable[bytes]]
"""The bytes to send back; none to close the connection."""


class Peer(Server):
    """What `routes` has is answered from there, all else by `answer`, with as many requests at a
    time as there are connections.
    """

    def __init__(
        self, answer: Answerer, routes: Mapping[str, bytes], tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(self._reply, tls=tls)
        self.asked: list[Asked] = []
        self.routes = dict(routes)
        self._by_hand = answer
        self.start()

    @property
    def url(self) -> str:
        return super().url.rstrip("/")

    def count(self, path: str) -> int:
        """Requests for a path."""
        return sum(asked.path == path for asked in self.asked)

    async def _reply(self, number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        first, *lines = self.heads[number].decode().strip().split("\r\n")
        asked = Asked(first.split(" ")[1], dict(line.split(": ", 1) for line in lines), body)
        self.asked.append(asked)
        answer = self.routes.get(asked.path) or await self._by_hand(asked)
        writer.write(answer)
        if not answer or asked.headers.get("Connection") == "close":
            writer.close()
