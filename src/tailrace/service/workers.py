"""Binding the service's address, and keeping its processes alive."""

from __future__ import annotations

import errno
import os
import socket
import sys

from tailrace.errors import TailraceError
from tailrace.machine import cgroup
from tailrace.net import resolve
from tailrace.service.config import BACKLOG, ServiceConfig
from tailrace.service.supervisor import supervise

# What the processes hold besides models: private memory that was measured with the null model,
# rounded down.
_PARENT_BYTES = 35 * 2**20
_WORKER_BYTES = 45 * 2**20


def serve(config: ServiceConfig) -> None:
    """Serves until SIGTERM or SIGINT; says on stderr where, with what, and when it is ready.

    Raises:
        UsageError: something asked for cannot be.
        TailraceError: the address is taken, or a model cannot be loaded.
    """
    config.check(say)
    warn_of_memory(config)
    with bind(config.host, config.port) as listener:
        address, port = listener.getsockname()[:2]
        threads = config.workers * config.threads * config.intra_op_threads
        room = (
            f"{config.workers} x {config.threads} x {config.intra_op_threads} = {threads} threads "
            f"(workers x concurrency x intra-op) on {_cores()}; queue of {config.queue} a worker"
        )
        supervise(config, listener, lambda: announce(config, address, port, room), say)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on this address; port 0 picks a free one.

    Raises:
        UsageError: the host is no address.
        TailraceError: the address is taken or not ours.
    """
    family, address = resolve(host)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise TailraceError(
                f"port {port} of {host} is taken: choose another with --port (0 picks a free one)"
            ) from error
        raise TailraceError(
            f"cannot serve on {host}, port {port}: {os.strerror(error.errno or 0)}"
        ) from error
    return listener


def say(message: str) -> None:
    """Writes a line to stderr."""
    sys.stderr.write(f"tailrace: {message}\n")
    sys.stderr.flush()


def announce(config: ServiceConfig, address: str, port: int, room: str) -> None:
    """Says where the service is and what `room` it has to compute. The form is a contract."""
    host = f"[{address}]" if ":" in address else address
    say(f"serving {', '.join(config.models)} on http://{host}:{port}")
    say(room)
    if notice := config.notice:
        say(notice)


def warn_of_memory(config: ServiceConfig) -> None:
    """Says so if the processes cannot fit into the container's memory: each holds the weights of
    all models for itself."""
    limit_bytes = cgroup.limits().memory_bytes
    weights_bytes = sum(path.stat().st_size for _, path in config.files() if path is not None)
    needed_bytes = _PARENT_BYTES + config.workers * (_WORKER_BYTES + weights_bytes)
    if limit_bytes is not None and needed_bytes > limit_bytes:
        say(
            f"this needs at least {needed_bytes / 2**20:.0f} MiB of memory, and the container's "
            f"limit is {limit_bytes / 2**20:.0f} MiB: "
            "the kernel will kill it; serve fewer models or --workers, or raise the limit"
        )


def _cores() -> str:
    usable, there = cgroup.cores(), cgroup.host_cores()
    if usable == there:
        return f"{there} cores"
    return f"{usable} of {there} cores: the container's limit is {cgroup.cpus():g}"
