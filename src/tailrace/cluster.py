"""Connecting to a Ray cluster, quietly."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from threading import Thread
from typing import IO, Any

from tailrace.errors import TailraceError, UsageError

AUTO = "auto"
NAMESPACE = "tailrace"
_REACH_S = 5.0
_JOIN_S = 30.0
"""On a busy machine it takes several seconds."""
_TRIES = "RAY_gcs_server_port_wait_time_s"
"""How often Ray tries to reach a head, 36 s each time; without it for a quarter of an hour."""


def require_ray() -> None:
    """To be called before a module is imported that imports Ray.

    Raises:
        UsageError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--ray needs Ray, which is not installed: pip install 'tailrace[ray]'")
    _prepare_environment()


def connect(address: str) -> None:
    """Connect this process to the cluster at `address`: HOST:PORT of its head node, or `auto` for
    the one this machine is a node of. A process is connected to one cluster at most; it stays so.

    Raises:
        UsageError: the address is none.
        TailraceError: no cluster answers there, or this machine is no node of it.
    """
    import ray

    check_address(address)
    if ray.is_initialized():
        joined = ray.get_runtime_context().gcs_address
        if address not in (AUTO, joined):
            raise UsageError(f"this process uses the Ray cluster at {joined}, not {address}")
        return
    for name in ("ray", "ray.serve"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    found = os.environ.get("RAY_ADDRESS") or address if address == AUTO else address
    if found != AUTO:
        _reach(found)
    _join(found)


def living_nodes() -> list[dict[str, Any]]:
    """What Ray says of each node of the cluster that is alive."""
    import ray

    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def take_signals_back() -> None:
    """Undo that Ray, once connected, prints its stack on SIGTERM before Python's handler runs. Does
    nothing but on the main thread, whose handlers they are.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        # As asyncio wants it, whose handler it may be.
        signal.siginterrupt(signal.SIGTERM, False)


def check_address(address: str) -> None:
    """Look whether `address` can be that of a cluster.

    Raises:
        UsageError: it is neither `auto` nor HOST:PORT.
    """
    host, _, port = address.rpartition(":")
    if address != AUTO and (not host or not port.isdigit() or "/" in host):
        raise UsageError(f"a Ray cluster is auto or HOST:PORT of its head node, not {address!r}")


def _reach(address: str) -> None:
    """Look whether anybody takes connections there: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    # As Ray takes a loopback address: for this machine's own among the nodes.
    host = _this_node() if host in ("localhost", "127.0.0.1", "[::1]") else host.strip("[]")
    try:
        socket.create_connection((host, int(port)), _REACH_S).close()
    except (socket.gaierror, ValueError, OverflowError) as error:
        raise UsageError(f"there is no host at {address}: {error}") from error
    except OSError as error:
        reason = error.strerror or f"nothing within {_REACH_S:g} s"
        raise TailraceError(f"no Ray cluster answers at {address} ({reason})") from error


def _this_node() -> str:
    from ray.util import get_node_ip_address

    return str(get_node_ip_address())  # type: ignore[no-untyped-call]


def _join(address: str) -> None:
    """Connect in time: in a thread, as Ray has no limit. One that is given up ends by itself within
    a minute, and should it still succeed it takes that back.
    """
    from ray.exceptions import RayError

    outcome: Future[None] = Future()
    with _stderr_aside() as said:
        Thread(target=_init, args=(address, outcome), daemon=True).start()
        wait([outcome], _JOIN_S)
        said.seek(0)
        unauthenticated = b"Unauthenticated" in said.read()
    if outcome.cancel():
        raise TailraceError(f"no Ray cluster answers at {address} (nothing within {_JOIN_S:g} s)")
    try:
        outcome.result()
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        if unauthenticated:
            reason = (
                f"the Ray cluster at {address} asks for its token: have its ~/.ray/auth_token on "
                "this machine, or set RAY_AUTH_TOKEN to it; RAY_AUTH_MODE, if it is set, must be "
                "token"
            )
        elif address == AUTO and isinstance(error, ConnectionError):
            reason = (
                "there is no Ray cluster on this machine, or there are several: start one with "
                "'ray start --head', or name its head node with --ray HOST:PORT"
            )
        else:
            reason = f"cannot join the Ray cluster at {address}: {' '.join(str(error).split())}"
        raise TailraceError(reason) from error


def _init(address: str, outcome: Future[None]) -> None:
    import ray

    given = os.environ.get(_TRIES)
    os.environ[_TRIES] = given or "1"
    try:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            configure_logging=False,
        )
    except Exception as error:  # noqa: BLE001  # for who waits
        if outcome.set_running_or_notify_cancel():
            outcome.set_exception(error)
    else:
        if outcome.set_running_or_notify_cancel():
            outcome.set_result(None)
        else:
            ray.shutdown()
    finally:
        if given is None:
            os.environ.pop(_TRIES, None)


@contextlib.contextmanager
def _stderr_aside() -> Iterator[IO[bytes]]:
    """What goes to stderr goes into a file meanwhile: what is below Ray writes to the descriptor,
    whatever it is told, a line for each of its attempts.
    """
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield file
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _prepare_environment() -> None:
    """Set what Ray reads once, when it is imported."""
    # Of a cluster that is named by its address it uses this machine's token only if it is told to.
    given = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    if given or Path("~/.ray/auth_token").expanduser().exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    # It would print what happens in the cluster on stdout, as the log's end of a node that died.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
