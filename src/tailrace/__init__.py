"""Tailrace: MLPerf models behind HTTP, and their tail latency under open-loop load."""

import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.control.client import connect, connect_sync

# gRPC's own handlers around fork are not made for its asyncio side: under uvloop, which forks to
# start a process, some load workers die in them before they begin. gRPC reads this when it is
# first imported, so it stands before whatever of Tailrace imports it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

__all__ = ["__version__", "connect", "connect_sync"]

__version__ = version("tailrace")


def __getattr__(name: str) -> Any:
    # Not before somebody asks for them: they take a second to import.
    if name in ("connect", "connect_sync"):
        from tailrace.control import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
