"""What a service is asked to be, and whether it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from tailrace.errors import UsageError
from tailrace.machine.cgroup import cores, limits
from tailrace.models import store, zoo
from tailrace.models.images import MAX_PIXELS
from tailrace.models.model import TWIN_NOTICE, Model, RuntimeOptions
from tailrace.models.runtimes.datatypes import json_bytes
from tailrace.models.zoo.spec import ModelSpec
from tailrace.net import is_loopback
from tailrace.service.fault import Fault

TOKEN_VARIABLE = "TAILRACE_TOKEN"
RUNTIMES = ("onnx", "tensorflow")
_LEAST_BODY_BYTES = 32 * 2**20
_ROWS = 2
_MOST_PIXELS = 2**30
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
    max_batch: int = 1
    """Pictures one inference may take."""
    batch_window_s: float = 0.0
    """How long a batch that is not full waits for more, from its first arrival."""
    runtime: str = "onnx"
    device: str = "cpu"
    twin: bool = False
    """Whether models that need a file are served with random weights instead."""
    queue: int = 256
    """Requests that may wait for a thread, a process."""
    grace_s: float = 10.0
    """How long a stopping service finishes what it has begun."""
    token: str | None = None
    """Bearer token demanded of every request but health checks."""
    stuck_s: float = 60.0
    """A worker of which one inference takes longer is replaced."""
    max_body_bytes: int | None = None
    """Longest body, and longest once it is inflated; None takes what the models need."""
    max_pixels: int = MAX_PIXELS
    """Largest picture that is decoded."""
    fault: Fault | None = None
    """What goes wrong on purpose."""

    @property
    def threads(self) -> int:
        """Inference threads of each process."""
        if self.concurrency is not None:
            return self.concurrency
        return max(1, cores() // (self.workers * self.intra_op_threads))

    @property
    def options(self) -> RuntimeOptions:
        """How each model is computed."""
        return RuntimeOptions(
            runtime=self.runtime,
            device=self.device,
            threads=self.intra_op_threads,
            spin=self.spin,
            max_pixels=self.max_pixels,
        )

    @property
    def body_limit_bytes(self) -> int:
        """Longest body that is taken: `max_body_bytes`, or what holds two rows of each model's
        input in JSON, and 32 MiB at least."""
        if self.max_body_bytes is not None:
            return self.max_body_bytes
        formats = [form for name in self.models for form in zoo.find(name).formats]
        return max([_LEAST_BODY_BYTES, *(_ROWS * json_bytes(form.input) for form in formats)])

    @property
    def spin(self) -> bool:
        """Whether the threads of an inference may burn their core while they wait for work: only
        where there is one inference at a time, and a core for each of its threads and one more."""
        alone = self.workers * self.threads == 1
        return alone and 1 < self.intra_op_threads < cores()

    def is_twin(self, spec: ModelSpec) -> bool:
        """Whether this model is served with random weights."""
        return self.twin and spec.twin is not None

    @property
    def notice(self) -> str | None:
        """What must be known of the answers of this service."""
        twins = [name for name in self.models if self.is_twin(zoo.find(name))]
        notices = [f"{', '.join(twins)}: {TWIN_NOTICE}"] if twins else []
        notices += [str(self.fault)] if self.fault else []
        return "; ".join(notices) or None

    def description(self) -> dict[str, Any]:
        """What was chosen, for `/v2`, and within which limits of the container (None: no limit)."""
        container = limits()
        return {
            "models": list(self.models),
            "notice": self.notice,
            "runtime": self.runtime,
            "device": self.device,
            "cores": cores(),
            "container": {"cpus": container.cpus, "memory_bytes": container.memory_bytes},
            "workers": self.workers,
            "concurrency": self.threads,
            "intra_op_threads": self.intra_op_threads,
            "spin": self.spin,
            "queue": self.queue,
            "max_batch": self.max_batch,
            "batch_window_ms": self.batch_window_s * 1e3,
            "max_body_bytes": self.body_limit_bytes,
            "max_pixels": self.max_pixels,
        }

    def files(
        self, say: Callable[[str], None] = lambda _: None
    ) -> list[tuple[ModelSpec, Path | None]]:
        """Each model with the file to load it from; None for one that has none. Twins are built
        if need be, which takes seconds, of which `say` is told.

        Raises:
            UsageError: a name or file that does not exist, or `model_path` fits no one model.
        """
        specs = [zoo.find(name) for name in self.models]
        takers = [spec for spec in specs if spec.needs_file] or specs
        if self.model_path is not None and len(takers) != 1:
            raise UsageError(
                "--model-path is the file of one model: serve "
                f"{' and '.join(spec.name for spec in takers)} apart from each other"
            )
        return [
            (
                spec,
                store.model_file(
                    spec,
                    self.model_path if spec in takers else None,
                    runtime=self.runtime,
                    twin=self.is_twin(spec),
                    say=say,
                ),
            )
            for spec in specs
        ]

    def check_batch(self, models: Iterable[Model]) -> None:
        """Finds out whether loaded models take the batches that are asked for.

        Raises:
            UsageError: one does not.
        """
        for model in models:
            if model.max_batch is not None and model.max_batch < self.max_batch:
                raise UsageError(
                    f"--max-batch {self.max_batch}: this file of {model.spec.name} takes "
                    f"{model.max_batch} at a time"
                )

    def check(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Finds what can be found wrong before anything is started; builds twins.

        Raises:
            UsageError: as `check_settings`, or a file that does not exist.
        """
        self.check_settings()
        self.files(say)

    def check_settings(self) -> None:
        """Finds what is wrong whatever files this machine has.

        Raises:
            UsageError: a number out of range, a model that does not exist, a public address
                without a token.
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
            ("--intra-op", self.intra_op_threads),
            ("--max-batch", self.max_batch),
            ("--queue", self.queue),
            ("--max-body", self.max_body_bytes),
            ("--max-pixels", self.max_pixels),
        ):
            if value is not None and value < 1:
                raise UsageError(f"{flag} is 1 or more, not {value}")
        if self.max_pixels > _MOST_PIXELS:
            raise UsageError(f"--max-pixels is {_MOST_PIXELS:,} at most, not {self.max_pixels:,}")
        if self.runtime not in RUNTIMES:
            raise UsageError(f"--runtime is {' or '.join(RUNTIMES)}, not {self.runtime!r}")
        if self.twin and self.model_path is not None:
            raise UsageError("--twin is served instead of a file: leave --model-path out")
        if self.twin and not any(self.is_twin(zoo.find(name)) for name in self.models):
            raise UsageError(f"--twin: there is none of {', '.join(self.models)}")
        if not 0 <= self.port < 65536:
            raise UsageError(f"--port is 0 to 65535, not {self.port}")
        if self.token is None and not is_loopback(self.host):
            raise UsageError(
                f"--host {self.host} can be reached from other machines: set a token in "
                f"{TOKEN_VARIABLE}, or serve on 127.0.0.1"
            )
