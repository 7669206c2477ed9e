"""Connecting to a Ray cluster, quietly."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc

from tailrace.errors import TailraceError, UsageError

AUTO = "auto"
NAMESPACE = "tailrace"
_REACH_S = 5.0
_QUESTION = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""The first one that Ray itself asks."""


def require_ray() -> None:
    """To be called before a module is imported that imports Ray.

    Raises:
        UsageError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--ray needs Ray, which is not installed: pip install 'tailrace[ray]'")


def connect(address: str) -> None:
    """Connect this process to the cluster at `address`: HOST:PORT of its head node, or `auto` for
    the one this machine is a node of. A process is connected to one cluster at most; it stays so.

    Raises:
        UsageError: the address is none.
        TailraceError: no cluster answers there, or this machine is no node of it.
    """
    import ray
    from ray.exceptions import RayError

    check_address(address)
    if ray.is_initialized():
        joined = ray.get_runtime_context().gcs_address
        if address not in (AUTO, joined):
            raise UsageError(f"this process uses the Ray cluster at {joined}, not {address}")
        return
    for name in ("ray", "ray.serve"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    found = _find(address)
    _check_answer(found)
    try:
        ray.init(
            address=found,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        reason = " ".join(str(error).split())
        raise TailraceError(f"cannot join the Ray cluster at {found}: {reason}") from error


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Leaves the cluster at the end, if there is one, and keeps what Ray has to say off stdout
    until then: on a node's death it prints the last lines of its log.
    """
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        try:
            yield
        finally:
            if "ray" in sys.modules:
                sys.modules["ray"].shutdown()


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


def _find(address: str) -> str:
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        return canonicalize_bootstrap_address_or_die(address)
    except ConnectionError as error:
        raise TailraceError(
            "there is no Ray cluster on this machine, or there are several: start one with "
            "'ray start --head', or name its head node with --ray HOST:PORT"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"there is no host at {address}: {error}") from error


def _check_answer(address: str) -> None:
    # Ray itself would try for twenty seconds or two minutes, and say much.
    code = _ask(address)
    if code is grpc.StatusCode.UNAUTHENTICATED:
        code = _ask(address, _credentials())
    if code is grpc.StatusCode.UNAUTHENTICATED:
        raise TailraceError(
            f"the Ray cluster at {address} asks for its token: have its ~/.ray/auth_token on this "
            "machine, or set RAY_AUTH_TOKEN to it; RAY_AUTH_MODE, if it is set, must be token"
        )
    if code is not grpc.StatusCode.OK:
        raise TailraceError(f"no Ray cluster answers at {address} ({code.name.lower()})")


def _ask(address: str, credentials: Mapping[str, str] | None = None) -> grpc.StatusCode:
    """How the cluster answers a question that it answers to its own alone."""
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(_QUESTION, bytes, bytes)
        try:
            ask(b"", timeout=_REACH_S, metadata=tuple((credentials or {}).items()))
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


def _credentials() -> Mapping[str, str]:
    """This machine's token, as Ray finds it and is told to use it unless RAY_AUTH_MODE forbids
    that; empty if there is none.
    """
    from ray._private.authentication.authentication_token_setup import (
        maybe_enable_token_auth_if_token_available,
    )
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    found: dict[str, str] = AuthenticationTokenLoader.instance().get_token_for_http_header()
    return found
