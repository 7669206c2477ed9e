"""How many replicas a service has, and how they are told to Ray Serve's application builder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tailrace.errors import UsageError
from tailrace.models.images import MAX_PIXELS
from tailrace.service.config import TOKEN_VARIABLE, ServiceConfig
from tailrace.units import parse_bytes, parse_duration_s

_SCALE = re.compile(r"(\d+)(?:\.\.(\d+))?")


class Scale(msgspec.Struct, frozen=True):
    """How many replicas there are, and how soon that changes."""

    fewest: int
    most: int
    """As `fewest`, or more: then Ray Serve's autoscaler chooses."""
    up_after_s: float = 5.0
    """How long there must be too few before there are more."""
    down_after_s: float = 60.0
    """How long there must be too many before there are fewer."""

    @property
    def fixed(self) -> bool:
        """Whether the number never changes."""
        return self.fewest == self.most

    def __str__(self) -> str:
        return f"{self.fewest}" if self.fixed else f"{self.fewest}..{self.most}"


def parse_scale(text: str) -> Scale:
    """The numbers in `2`, or `1..8`.

    Raises:
        UsageError: it is neither, or no such numbers can be.
    """
    match = _SCALE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--replicas is a number, as 2, or a range, as 1..8, not {text!r}")
    fewest = int(match[1])
    most = int(match[2] or fewest)
    if not 1 <= fewest <= most:
        raise UsageError(f"--replicas {text}: there must be 1 or more, and no fewer at most")
    return Scale(fewest, most)


class Arguments(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """Arguments of the application builder: the options of `tailrace serve` by their names."""

    models: list[str] | str
    """Their names, or one text with commas between them."""
    model_path: str | None = None
    twin: bool = False
    dataset: str | None = None
    host: str = "0.0.0.0"
    """What the http_options of Ray Serve bind: another than a loopback address needs a token."""
    replicas: int | str = 1
    concurrency: int = 1
    intra_op: int = 1
    max_batch: int = 1
    batch_window: str = "0ms"
    queue: int = 256
    runtime: str = "onnx"
    device: str = "cpu"
    grace: str = "10s"
    stuck_after: str = "60s"
    max_body: str | None = None
    max_pixels: int = MAX_PIXELS


def read_arguments(given: Mapping[str, Any]) -> tuple[ServiceConfig, Scale]:
    """What the arguments of the application builder ask for. The token is that of the environment.

    Raises:
        UsageError: one is unknown, missing or of the wrong kind, or cannot be.
    """
    try:
        # All are text if they come from a command line.
        asked = msgspec.convert(dict(given), Arguments, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"args of tailrace.service.on_ray.replicas:app: {error}") from error
    names = asked.models.split(",") if isinstance(asked.models, str) else asked.models
    config = ServiceConfig(
        models=tuple(names),
        model_path=Path(asked.model_path) if asked.model_path is not None else None,
        twin=asked.twin,
        dataset=Path(asked.dataset) if asked.dataset is not None else None,
        host=asked.host,
        concurrency=asked.concurrency,
        intra_op_threads=asked.intra_op,
        max_batch=asked.max_batch,
        batch_window_s=parse_duration_s(asked.batch_window),
        queue=asked.queue,
        runtime=asked.runtime,
        device=asked.device,
        grace_s=parse_duration_s(asked.grace),
        stuck_s=parse_duration_s(asked.stuck_after),
        max_body_bytes=None if asked.max_body is None else parse_bytes(asked.max_body),
        max_pixels=asked.max_pixels,
        token=os.environ.get(TOKEN_VARIABLE) or None,
    )
    return config, parse_scale(str(asked.replicas))
