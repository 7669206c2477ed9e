"""What a person or a program says of a service that is to be put under load."""

from pathlib import Path

import msgspec

from tailrace.load.client.target import without_credentials
from tailrace.load.judge.verdict import MIN_DURATION_S


class ServiceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One service that can be put under load, and how. Durations are seconds."""

    id: str
    """Letters, digits, `.`, `_`, `-`: it stands in addresses and names of run directories."""
    url: str
    name: str | None = None
    """What the page calls it; the id if None."""
    method: str | None = None
    """None is POST with a body, else GET."""
    headers: dict[str, str] = {}
    body: Path | None = None
    """A file, or a directory of files to send in turn, on the control room's machine."""
    text: str | None = None
    """The body itself, instead of a file."""
    arrivals: str = "poisson"
    profile: str = "50"
    """A rate a second, or an expression of `tailrace load --profile`."""
    duration_s: float | None = None
    """None is a run that goes on until it is stopped."""
    slo: tuple[str, ...] = ()
    abort_on: tuple[str, ...] = ()
    """When a run ends itself as hopeless: `failed>50%@10s`."""
    seed: int = 1
    workers: int = 1
    ray: str | None = None
    """The Ray cluster on whose nodes the load workers run, `auto` or HOST:PORT; None: this machine.
    """
    connections: int = 1024
    reuse: str = "spread"
    """Which idle connection a request takes: `spread`, `fifo` or `lifo`."""
    timeout_s: float | None = None
    """None follows the SLOs: 10 s, or twice the largest bound."""
    min_duration_s: float = MIN_DURATION_S
    """A shorter run is INVALID."""
    verify: bool = True
    """Whether an https:// server's certificate must be good."""
    ca_file: Path | None = None
    metrics_url: str | None = None
    """Where the service tells of its CPU and GPU, in Prometheus' text format; None tries /metrics
    at the URL's own host and port, "" does not ask."""


def shown(config: ServiceConfig) -> ServiceConfig:
    """`config` as it may be told to anybody: without the credentials in its URLs."""
    return msgspec.structs.replace(
        config,
        url=without_credentials(config.url),
        metrics_url=config.metrics_url and without_credentials(config.metrics_url),
    )


def with_credentials(config: ServiceConfig, known: ServiceConfig) -> ServiceConfig:
    """`config`, with the credentials of `known` in each URL that is the same but for them: whoever
    changes a service was not told them.
    """
    told = shown(known)
    same_metrics = config.metrics_url == told.metrics_url
    return msgspec.structs.replace(
        config,
        url=known.url if config.url == told.url else config.url,
        metrics_url=known.metrics_url if same_metrics else config.metrics_url,
    )
