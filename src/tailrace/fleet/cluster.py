"""Connecting to a Ray cluster, quietly."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterator

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tailrace.errors import TailraceError, UsageError

AUTO = "auto"
NAMESPACE = "tailrace"
_REACH_S = 5.0


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
def connected(address: str) -> Iterator[None]:
    """Connects, and leaves the cluster at the end, which ends what this process owns there.

    Raises:
        UsageError, TailraceError: see `connect`.
    """
    import ray

    connect(address)
    try:
        yield
    finally:
        ray.shutdown()


def check_address(address: str) -> None:
    """Look whether `address` can be that of a cluster.

    Raises:
        UsageError: it is neither `auto` nor HOST:PORT.
    """
    host, _, port = address.rpartition(":")
    if address != AUTO and (not host or not port.isdigit() or "/" in host):
        raise UsageError(f"--ray is auto or HOST:PORT of a head node, not {address!r}")


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
    # Ray itself would try for two minutes, and say much.
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        try:
            health.Check(health_pb2.HealthCheckRequest(), timeout=_REACH_S)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                # Ray has the token, if it is told to use it.
                if os.environ.get("RAY_AUTH_MODE") == "token":
                    return
                raise TailraceError(
                    f"the Ray cluster at {address} asks for a token: set RAY_AUTH_MODE=token, and "
                    "have its ~/.ray/auth_token on this machine"
                ) from error
            raise TailraceError(
                f"no Ray cluster answers at {address} ({error.code().name.lower()})"
            ) from error
