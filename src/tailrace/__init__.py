"""Tailrace: MLPerf models behind HTTP, and their tail latency under open-loop load."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.control.client import connect, connect_sync

__all__ = ["__version__", "connect", "connect_sync"]

__version__ = version("tailrace")


def __getattr__(name: str) -> Any:
    # Not before somebody asks for them: they take a second to import.
    if name in ("connect", "connect_sync"):
        from tailrace.control import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
