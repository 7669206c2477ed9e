"""What a request's head says of its answer and of its connection, as bits of one number."""

import re

from tailrace.load.client.request import Request

NO_BODY = 1
"""The answer has no body, whatever its headers say: the method is HEAD (RFC 9110, 9.3.2)."""
LAST = 2
"""It is the last one on its connection: it says `Connection: close` (RFC 9112, 9.6)."""
AGAIN = 4
"""It may be sent once more if the connection that it was sent on turns out to be closed: its method
is idempotent, or it has a key that makes it so (RFC 9110, 9.2.2)."""

_IDEMPOTENT = {b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"}
_CLOSE = re.compile(rb"\r\nConnection:(?:[^\r\n]*,)?[ \t]*close[ \t]*(?:,|\r\n)", re.IGNORECASE)
_KEY = re.compile(rb"\r\nIdempotency-Key:", re.IGNORECASE)


def manner_of(request: Request) -> int:
    """The manner of a request: the bits above that hold."""
    end = request.head.find(b"\r\n\r\n")
    head = request.head if end < 0 else request.head[: end + 2]
    manner = NO_BODY if request.no_body else 0
    if _CLOSE.search(head):
        manner |= LAST
    if head.partition(b" ")[0] in _IDEMPOTENT or _KEY.search(head):
        manner |= AGAIN
    return manner
