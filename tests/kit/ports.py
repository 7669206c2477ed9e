"""Addresses on loopback at which nobody answers."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """A port that refuses connections, and that nobody else is given meanwhile."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


def free_port() -> int:
    """A port that is free now, for a program that must be told one."""
    with refusing() as port:
        return port


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that says nothing at all: a listener whose backlog is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            yield port
