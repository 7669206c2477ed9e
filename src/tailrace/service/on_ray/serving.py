"""`tailrace serve --ray`: Ray Serve on a cluster for as long as the command runs."""

import asyncio
import contextlib
import ipaddress
import signal
import threading
import time
from collections.abc import Iterator

import httpx
import msgspec
import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import HTTPOptions, ProxyLocation
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus, ApplicationStatusOverview, LoggingConfig
from ray.util import get_node_ip_address
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tailrace.cluster import connect, living_nodes
from tailrace.errors import TailraceError, UsageError
from tailrace.net import is_loopback, resolve
from tailrace.service.config import TOKEN_VARIABLE, ServiceConfig
from tailrace.service.on_ray.registry import running_replicas
from tailrace.service.on_ray.replicas import APPLICATION, REGISTRY, Scale, application
from tailrace.service.workers import announce, bind, say

_OWNER = "serve-command"
# A resource that the head node alone has.
_HEAD = "node:__internal_head__"
_LOOK_EVERY_S = 0.2
_REST_S = 1.0
_PROBE_WITHIN_S = 5.0
# What Ray Serve needs to remove the application, beyond the grace.
_END_WITHIN_S = 5.0
_HINT_AFTER_S = 15.0
_KEEP_ALIVE_S = 75


class _Owner:
    # Belongs to this process, so that it ends however this process does.
    async def wait(self) -> None:
        await asyncio.Event().wait()


def serve_on_ray(config: ServiceConfig, scale: Scale, address: str) -> None:
    """Serves `config` on the cluster at `address`, `auto` for that of this machine, until SIGTERM
    or SIGINT; says on stderr where, with what, and when it is ready.

    Raises:
        UsageError: something asked for cannot be.
        TailraceError: there is no cluster, Ray Serve runs on it already, the port is taken, or a
            model cannot be loaded.
    """
    config.check_settings()
    connect(address)
    # After Ray's own handlers are in place.
    with _stopped_by_signals() as stopping:
        _check_unused()
        head = _head_address()
        config = _with_port(config, head)
        owner = _own()
        try:
            _start(config, scale)
            _Attendant(config, scale, head, stopping).attend()
        finally:
            _end(config)
            del owner


def _check_unused() -> None:
    status = serve.status()
    if status.proxies or status.applications:
        names = ", ".join(status.applications) or "no application"
        raise TailraceError(
            f"Ray Serve runs on this cluster already, with {names}, and has one port for all: "
            "deploy to it with 'serve run tailrace.service.on_ray.replicas:app models=MODEL', "
            "or end it with 'serve shutdown'"
        )


def _own() -> object:
    # Elsewhere the service would end with a node that it can do without.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    owner = ray.remote(_Owner).options(name=_OWNER, scheduling_strategy=here, num_cpus=0)
    try:
        return owner.remote()
    except ValueError as error:
        raise TailraceError("another 'tailrace serve --ray' runs on this cluster") from error


def _head_address() -> str:
    for node in living_nodes():
        if _HEAD in node["Resources"]:
            address: str = node["NodeManagerAddress"]
            return address
    raise TailraceError("the cluster has no head node at the moment: try again in a minute")


def _with_port(config: ServiceConfig, head: str) -> ServiceConfig:
    # Ray Serve itself would try a port that is taken again and again, and cannot tell which one it
    # got for 0.
    here = get_node_ip_address()  # type: ignore[no-untyped-call]
    if here == head:
        with bind(config.host, config.port) as listener:
            return msgspec.structs.replace(config, port=listener.getsockname()[1])
    if is_loopback(config.host):
        raise UsageError(
            f"--host {config.host} would be that of the cluster's head node, {head}: run this "
            f"there, or set --host 0.0.0.0 and a token in {TOKEN_VARIABLE}"
        )
    if config.port == 0:
        raise UsageError("--port 0 is for a command that runs on the cluster's head node")
    return config


def _start(config: ServiceConfig, scale: Scale) -> None:
    try:
        serve.start(
            # The others' loopback addresses are of no use here.
            proxy_location=(
                ProxyLocation.HeadOnly if is_loopback(config.host) else ProxyLocation.EveryNode
            ),
            http_options=HTTPOptions(
                host=resolve(config.host)[1],
                port=config.port,
                keep_alive_timeout_s=_KEEP_ALIVE_S,
            ),
            logging_config=LoggingConfig(enable_access_log=False, log_level="WARNING"),
        )
        serve.run_many(
            [serve.RunTarget(application(config, scale, _OWNER), APPLICATION)],
            wait_for_applications_running=False,
        )
    except (RayError, RayServeException, TimeoutError) as error:
        raise TailraceError(f"Ray Serve cannot start: {_last_line(str(error))}") from error


class _Attendant:
    # Says how the application fares, until it is to stop.
    def __init__(
        self, config: ServiceConfig, scale: Scale, head: str, stopping: threading.Event
    ) -> None:
        self._config = config
        self._scale = scale
        self._stopping = stopping
        _, self._address = resolve(config.host)
        host = ipaddress.ip_address(self._address)
        self._probed = head if host.is_unspecified else self._address
        self._registry = serve.get_deployment_handle(REGISTRY, APPLICATION)
        self._running = 0
        self._announced = False
        self._ready = False
        self._changed_s = time.monotonic()

    def attend(self) -> None:
        while not self._stopping.wait(_LOOK_EVERY_S if not self._ready else _REST_S):
            try:
                found = serve.status().applications.get(APPLICATION)
            except (RayError, RayServeException) as error:
                raise TailraceError(f"lost Ray Serve: {_last_line(str(error))}") from error
            if found is None:
                raise TailraceError("Ray Serve was shut down from elsewhere")
            if not self._ready:
                self._check_start(found)
            self._note(running_replicas(found))

    def _check_start(self, found: ApplicationStatusOverview) -> None:
        with contextlib.suppress(RayError, RayServeException, TimeoutError):
            failure = self._registry.failure.remote().result(timeout_s=1.0)
            if failure is not None:
                reason, usage = failure
                raise (UsageError if usage else TailraceError)(reason)
        if found.status == ApplicationStatus.DEPLOY_FAILED:
            messages = [deployment.message for deployment in found.deployments.values()]
            reason = next(filter(None, messages), found.message)
            raise TailraceError(f"a replica cannot start: {_last_line(reason)}")

    def _note(self, running: int) -> None:
        fewest = self._scale.fewest
        if running == self._running:
            waited_s = time.monotonic() - self._changed_s
            if not self._ready and running < fewest and waited_s > _HINT_AFTER_S:
                self._changed_s = time.monotonic()
                say(f"{running} of {fewest} replicas are warm; each takes {_needs(self._config)}")
        else:
            self._changed_s = time.monotonic()
            if self._ready:
                say(f"{running} of {self._scale} replicas are warm")
            self._running = running
        if not self._announced and running and self._answers("/v2/health/live"):
            self._announced = True
            self._announce()
        if self._announced and not self._ready and self._answers("/v2/health/ready"):
            self._ready = True
            say("ready")

    def _answers(self, path: str) -> bool:
        url = httpx.URL(scheme="http", host=self._probed, port=self._config.port, path=path)
        try:
            return httpx.get(url, timeout=_PROBE_WITHIN_S, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def _announce(self) -> None:
        config = self._config
        room = (
            f"{self._scale} x {config.threads} x {config.intra_op_threads} threads "
            f"(replicas x concurrency x intra-op), nodes of the cluster: {len(living_nodes())}; "
            f"queue of {config.queue} a replica"
        )
        announce(config, self._address, config.port, room)


def _needs(config: ServiceConfig) -> str:
    cpus = config.threads * config.intra_op_threads
    gpu = "" if config.device == "cpu" else " and a GPU"
    return f"{cpus} CPU{'s' if cpus > 1 else ''}{gpu} of a node"


def _end(config: ServiceConfig) -> None:
    ends_s = time.monotonic() + config.grace_s + _END_WITHIN_S
    with contextlib.suppress(RayError, RayServeException, TimeoutError):
        serve.delete(APPLICATION, _blocking=False)
        while APPLICATION in serve.status().applications and time.monotonic() < ends_s:
            time.sleep(_LOOK_EVERY_S)
    with contextlib.suppress(RayError, RayServeException, TimeoutError):
        serve.shutdown()  # type: ignore[no-untyped-call]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "Ray Serve does not say why"


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    stopping = threading.Event()
    previous = {
        number: signal.signal(number, lambda *_: stopping.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stopping
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
