"""What a service is asked to be, and whether it can be."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

import msgspec

from tailrace.errors import UsageError
from tailrace.models import store, zoo

TOKEN_VARIABLE = "TAILRACE_TOKEN"
BACKLOG = 2048
"""Connections that may wait to be accepted."""


class ServiceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one service, the same for each of its processes."""

    models: tuple[str, ...]
    """Names of the zoo; `/gpu` uses the first."""
    model_path: Path | None = None
    """File of the one model among `models` that is not embedded."""
    dataset: Path | None = None
    """Folder of the pictures `/gpu` draws from."""
    host: str = "127.0.0.1"
    port: int = 5000
    """0 picks a free one."""
    workers: int = 1
    """Processes."""
    concurrency: int | None = None
    """Inference threads a process; None shares the cores out among the processes."""
    intra_op_threads: int = 1
    """Threads the runtime computes one inference on."""
    queue: int = 256
    """Requests that may wait for a thread, a process."""
    grace_s: float = 10.0
    """How long a stopping service finishes what it has begun."""
    token: str | None = None
    """Bearer token demanded of every request but health checks."""
    max_body_bytes: int = 32 * 2**20

    @property
    def threads(self) -> int:
        """Inference threads of each process."""
        if self.concurrency is not None:
            return self.concurrency
        return max(1, cores() // (self.workers * self.intra_op_threads))

    def files(self) -> list[tuple[zoo.ModelSpec, Path]]:
        """Each model with the file to load it from.

        Raises:
            UsageError: a name or file that does not exist, or `model_path` fits no one model.
        """
        specs = [zoo.find(name) for name in self.models]
        takers = [spec for spec in specs if spec.embedded is None] or specs
        if self.model_path is not None and len(takers) != 1:
            raise UsageError(
                "--model-path is the file of one model: serve "
                f"{' and '.join(spec.name for spec in takers)} apart from each other"
            )
        return [
            (spec, store.model_file(spec, self.model_path if spec in takers else None))
            for spec in specs
        ]

    def check(self) -> None:
        """Finds what can be found wrong before anything is started.

        Raises:
            UsageError: a number out of range, a model or file that does not exist, a public
                address without a token.
        """
        if not self.models:
            raise UsageError(f"name a model to serve: {', '.join(zoo.names())}")
        for name in self.models:
            zoo.find(name)
            if self.models.count(name) > 1:
                raise UsageError(f"{name} is named twice")
        for flag, value in (
            ("--workers", self.workers),
            ("--concurrency", self.concurrency),
            ("--queue", self.queue),
        ):
            if value is not None and value < 1:
                raise UsageError(f"{flag} is 1 or more, not {value}")
        if not 0 <= self.port < 65536:
            raise UsageError(f"--port is 0 to 65535, not {self.port}")
        self.files()
        if self.token is None and not is_loopback(self.host):
            raise UsageError(
                f"--host {self.host} can be reached from other machines: set a token in "
                f"{TOKEN_VARIABLE}, or serve on 127.0.0.1"
            )


def cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0))


def resolve(host: str) -> tuple[socket.AddressFamily, str]:
    """Address family and numeric address of a host.

    Raises:
        UsageError: the name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"--host {host} is no address of this machine: {error}") from error
    family, _, _, _, address = found[0]
    return family, str(address[0])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`.

    Raises:
        UsageError: the name does not resolve.
    """
    _, address = resolve(host)
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
