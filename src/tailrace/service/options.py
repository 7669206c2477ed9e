"""A service's settings as they are written: on a command line, or in Ray Serve's configuration."""

import os
from pathlib import Path

import msgspec

from tailrace.models.images import MAX_PIXELS
from tailrace.service.config import TOKEN_VARIABLE, ServiceConfig
from tailrace.service.fault import Fault
from tailrace.units import parse_bytes, parse_duration_s, parse_option


class ServiceOptions(
    msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True
):
    """Options of `tailrace serve`, but for where it listens and how often it runs there."""

    models: list[str] | str
    """Their names, or one text with commas between them."""
    model_path: Path | None = None
    twin: bool = False
    dataset: Path | None = None
    host: str = "127.0.0.1"
    concurrency: int | None = None
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

    def config(
        self, *, port: int = 5000, workers: int = 1, fault: Fault | None = None
    ) -> ServiceConfig:
        """The settings that they are. The token is that of the environment.

        Raises:
            UsageError: one is no time, or no size.
        """
        names = self.models.split(",") if isinstance(self.models, str) else self.models
        return ServiceConfig(
            models=tuple(names),
            model_path=self.model_path,
            twin=self.twin,
            dataset=self.dataset,
            host=self.host,
            port=port,
            workers=workers,
            concurrency=self.concurrency,
            intra_op_threads=self.intra_op,
            max_batch=self.max_batch,
            batch_window_s=parse_option("--batch-window", parse_duration_s, self.batch_window),
            queue=self.queue,
            runtime=self.runtime,
            device=self.device,
            grace_s=parse_option("--grace", parse_duration_s, self.grace),
            stuck_s=parse_option("--stuck-after", parse_duration_s, self.stuck_after),
            max_body_bytes=None
            if self.max_body is None
            else parse_option("--max-body", parse_bytes, self.max_body),
            max_pixels=self.max_pixels,
            fault=fault,
            token=os.environ.get(TOKEN_VARIABLE) or None,
        )
