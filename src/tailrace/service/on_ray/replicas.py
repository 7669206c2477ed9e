"""Replicas of the inference service as a Ray Serve application.

Each replica is one `Service`, with its queue, its threads and the routes of the local mode, as one
actor. Beside them stands one small deployment, the registry: replicas send it what they count, and
it tells them whether all that were asked for are there.

`app` is the application builder for Ray Serve's own tools: importPath
`tailrace.service.on_ray.replicas:app` with the options of `tailrace serve` as args.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig, BackpressureConfig
from ray.serve.schema import LoggingConfig

from tailrace.service.config import ServiceConfig
from tailrace.service.on_ray.options import Scale, read_arguments
from tailrace.service.on_ray.registry import REPLICA, Registry
from tailrace.service.on_ray.replica import HEALTH_CHECK_S, Replica

APPLICATION = "tailrace"
REGISTRY = "registry"

# Beyond its threads and its queue a replica is sent so many: the ones that it refuses itself, with
# what is wrong and when to come back, and those for which no model is asked.
_SPARE = 64
_RETRY_AFTER_S = 1
# So many wait at the proxy while every replica has all it may have; more are refused there.
_ROUTER = "tailrace.service.on_ray.routing.TwoChoices"
_AT_PROXY = 64
_REGISTRY_GRACE_S = 1.0
_DRAIN_LOOK_S = 0.1
_HEALTH_WITHIN_S = 15.0
_SCALE_LOOK_S = 1.0
_SCALE_OVER_S = 5.0
_QUIET = LoggingConfig(enable_access_log=False, log_level="WARNING")


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
