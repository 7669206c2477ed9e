"""Tailrace: MLPerf models behind HTTP, and their tail latency under open-loop load.

`run`, `start` and `find` put load on a URL, `read_run`, `list_runs` and `read_samples` read what
runs have left, `compare` says how far they are apart, `connect` and `connect_sync` steer a control
room.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.control.client import connect, connect_sync
    from tailrace.errors import TailraceError, UsageError
    from tailrace.library import compare, find, list_runs, read_run, read_samples, run, start
    from tailrace.load.config import LoadConfig

    __version__: str

# gRPC's own handlers around fork are not made for its asyncio side: under uvloop, which forks to
# start a process, some load workers die in them before they begin. gRPC reads this when it is
# first imported, so it stands before whatever of Tailrace imports it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

__all__ = [
    "LoadConfig",
    "TailraceError",
    "UsageError",
    "__version__",
    "compare",
    "connect",
    "connect_sync",
    "find",
    "list_runs",
    "read_run",
    "read_samples",
    "run",
    "start",
]

_HOMES = {
    "LoadConfig": "load.config",
    "TailraceError": "errors",
    "UsageError": "errors",
    "connect": "control.client",
    "connect_sync": "control.client",
}


def __getattr__(name: str) -> Any:
    # Not before somebody asks for them: they take up to a second to import.
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("tailrace")
    elif name in __all__:
        found = getattr(importlib.import_module(f"tailrace.{_HOMES.get(name, 'library')}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
