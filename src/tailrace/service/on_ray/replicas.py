"""Replicas of the inference service as a Ray Serve application.

Each replica is one `Service`, with its queue, its threads and the routes of the local mode, as one
actor. Beside them stands one small deployment, the registry: replicas send it what they count, and
it tells them whether all that were asked for are there.

`app` is the application builder for Ray Serve's own tools: importPath
`tailrace.service.on_ray.replicas:app` with the options of `tailrace serve` as args.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, BackpressureConfig
from ray.serve.schema import LoggingConfig

from tailrace.errors import UsageError
from tailrace.service.config import ServiceConfig
from tailrace.service.on_ray.registry import REPLICA, Registry
from tailrace.service.on_ray.replica import HEALTH_CHECK_S, Replica
from tailrace.service.options import ServiceOptions

APPLICATION = "tailrace"
REGISTRY = "registry"

# Beyond its threads and its queue a replica is sent so many: the ones that it refuses itself, with
# what is wrong and when to come back, and those for which no model is asked.
_SPARE = 64
_RETRY_AFTER_S = 1
# So many wait at the proxy while every replica has all it may have; more are refused there.
_AT_PROXY = 64
_REGISTRY_GRACE_S = 1.0
_DRAIN_LOOK_S = 0.1
_HEALTH_WITHIN_S = 15.0
_SCALE_LOOK_S = 1.0
_SCALE_OVER_S = 5.0
_QUIET = LoggingConfig(enable_access_log=False, log_level="WARNING")

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


class Arguments(ServiceOptions, frozen=True, kw_only=True):
    """Arguments of the application builder: the options of `tailrace serve` by their names."""

    host: str = "0.0.0.0"
    """What the http_options of Ray Serve bind: another than a loopback address needs a token."""
    concurrency: int | None = 1
    replicas: int | str = 1


def app(args: Mapping[str, Any]) -> Application:
    """The application, from the options of `tailrace serve` by their names, as
    `{"models": ["shapes"], "replicas": "1..8", "max-batch": 4}`; the host and port are those of
    Ray Serve's http_options.

    Raises:
        UsageError: one cannot be; or there is no TAILRACE_TOKEN, and `host` is not said to be a
            loopback address.
    """
    config, scale = read_arguments(args)
    config.check_settings()
    return application(config, scale)


def application(config: ServiceConfig, scale: Scale, owner: str | None = None) -> Application:
    """The application that serves `config`, once a replica.

    `owner` names an actor with whose end Ray Serve is to be shut down.
    """
    registry = serve.deployment(
        name=REGISTRY,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=1000,
        graceful_shutdown_timeout_s=_REGISTRY_GRACE_S,
        graceful_shutdown_wait_loop_s=_DRAIN_LOOK_S,
        health_check_period_s=HEALTH_CHECK_S,
        health_check_timeout_s=_HEALTH_WITHIN_S,
        logging_config=_QUIET,
    )(Registry)
    at_hand = config.threads * config.max_batch
    replica = serve.deployment(
        name=REPLICA,
        ray_actor_options={
            "num_cpus": config.threads * config.intra_op_threads,
            "num_gpus": 0 if config.device == "cpu" else 1,
            # OpenCV reads it when it is loaded.
            "runtime_env": {"env_vars": {"OPENCV_IO_MAX_IMAGE_PIXELS": str(config.max_pixels)}},
        },
        max_ongoing_requests=at_hand + config.queue + _SPARE,
        max_queued_requests=_AT_PROXY,
        backpressure_config=BackpressureConfig(retry_after_s=_RETRY_AFTER_S),
        request_router_config={
            "request_router_class": "tailrace.service.on_ray.routing.TwoChoices"
        },
        graceful_shutdown_timeout_s=config.grace_s,
        graceful_shutdown_wait_loop_s=_DRAIN_LOOK_S,
        health_check_period_s=HEALTH_CHECK_S,
        health_check_timeout_s=_HEALTH_WITHIN_S,
        logging_config=_QUIET,
        **_numbers(scale, at_hand, config.queue),
    )(serve.ingress()(Replica))
    return replica.bind(config, registry.bind(config.models, scale.fewest, owner))


def _numbers(scale: Scale, at_hand: int, queue: int) -> dict[str, Any]:
    if scale.fixed:
        return {"num_replicas": scale.fewest}
    # As many wait as are worked on: a request then takes about twice as long as an idle replica's.
    target = min(2 * at_hand, at_hand + queue)
    return {
        "autoscaling_config": AutoscalingConfig(
            min_replicas=scale.fewest,
            max_replicas=scale.most,
            target_ongoing_requests=target,
            upscale_delay_s=scale.up_after_s,
            downscale_delay_s=scale.down_after_s,
            # Deprecated in favour of a variable of the environment of Ray Serve's own processes,
            # which are not ours to start. Left out, it takes ten seconds to see a queue.
            metrics_interval_s=_SCALE_LOOK_S,
            look_back_period_s=_SCALE_OVER_S,
        )
    }


def read_arguments(given: Mapping[str, Any]) -> tuple[ServiceConfig, Scale]:
    """What the arguments of the application builder ask for. The token is that of the environment.

    Raises:
        UsageError: one is unknown, missing or of the wrong kind, or cannot be.
    """
    try:
        # All are text if they come from a command line.
        asked = msgspec.convert(
            dict(given), Arguments, strict=False, dec_hook=lambda kind, text: kind(text)
        )
    except msgspec.ValidationError as error:
        raise UsageError(f"args of tailrace.service.on_ray.replicas:app: {error}") from error
    return asked.config(), parse_scale(str(asked.replicas))
