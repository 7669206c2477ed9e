"""A connection that looks into the bodies of its answers."""

from tailrace.load.client.connection import Connection, Owner
from tailrace.load.client.expect import Broken

LONGEST_BODY = 64 * 1024 * 1024
"""Bytes of a body beyond which it is not looked into."""

_NONE = bytes(1000)
"""No status is good."""


class CheckedConnection(Connection):
    """A connection whose answers are good only if their bodies are."""

    __slots__ = ("_body", "_broken", "_check", "_size", "_statuses")

    def __init__(self, owner: Owner, address: str, check: Broken) -> None:
        super().__init__(owner, address)
        self._check = check
        self._statuses = owner.good
        self._broken: str | None = None
        self._body = bytearray()
        self._size = 0

    def on_headers_complete(self) -> None:
        """All header lines are there: the body is to come."""
        self._body.clear()
        self._size = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        if self._size <= LONGEST_BODY:
            self._body += body

    def on_message_complete(self) -> None:
        """The answer is whole: look at its body, and note it down."""
        if self.intended and self._good[self._parser.get_status_code()]:
            self._broken = (
                self._check(bytes(self._body))
                if self._size <= LONGEST_BODY
                else f"body of more than {LONGEST_BODY >> 20} MiB, which is not looked into"
            )
            self._good = self._statuses if self._broken is None else _NONE
        super().on_message_complete()
        self._good = self._statuses
        self._broken = None

    def _reason(self, status: int) -> str:
        if self._broken is not None:
            return f"unexpected: {self._broken}"
        return super()._reason(status)
