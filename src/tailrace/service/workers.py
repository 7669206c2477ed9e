"""Binding the service's address, and keeping its processes alive."""

from __future__ import annotations

import errno
import os
import socket
import sys

from tailrace.errors import TailraceError
from tailrace.service.config import BACKLOG, ServiceConfig, cores, resolve
from tailrace.service.supervisor import supervise


def serve(config: ServiceConfig) -> None:
    """Serves until SIGTERM or SIGINT; says on stderr where, with what, and when it is ready.

    Raises:
        UsageError: something asked for cannot be.
        TailraceError: the address is taken, or a model cannot be loaded.
    """
    config.check(say)
    with bind(config.host, config.port) as listener:
        supervise(config, listener, lambda: announce(config, listener), say)


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


def announce(config: ServiceConfig, listener: socket.socket) -> None:
    """Says where the service is and what it does with the cores. The form is a contract."""
    address, port = listener.getsockname()[:2]
    host = f"[{address}]" if ":" in address else address
    say(f"serving {', '.join(config.models)} on http://{host}:{port}")
    threads = config.workers * config.threads * config.intra_op_threads
    say(
        f"{config.workers} x {config.threads} x {config.intra_op_threads} = {threads} threads "
        f"(workers x concurrency x intra-op) on {cores()} cores; "
        f"queue of {config.queue} a worker"
    )
    if notice := config.notice:
        say(notice)
