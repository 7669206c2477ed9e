"""The servers that are compared: how each is started, and what it is told to do."""

import argparse
import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request

from benchmarks.serving import environment
from benchmarks.serving.install import PEERS, program
from benchmarks.serving.processes import Running, running
from tailrace.errors import TailraceError
from tailrace.models import store, zoo

Command = Callable[[int, int], list[str]]
"""The command line for a port and a number of workers."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server."""

    name: str
    title: str
    settings: str
    """What its configuration is, for W workers."""
    command: Command
    path: str


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as `tailrace serve` is asked for it."""

    arguments: tuple[str, ...]
    name: str
    file: Path

    @classmethod
    def parse(cls, text: str) -> "ServedModel":
        """From such as `shapes`, `ssd-mobilenet --twin` or `ssd-mobilenet --model-path FILE`.

        Exits with a clear line if there is no such model, or no file for it.
        """
        parser = argparse.ArgumentParser(exit_on_error=False)
        parser.add_argument("name")
        parser.add_argument("--twin", action="store_true")
        parser.add_argument("--model-path", type=Path)
        try:
            asked = parser.parse_args(shlex.split(text))
            file = store.model_file(
                zoo.find(asked.name), asked.model_path, twin=asked.twin, say=_say
            )
        except (argparse.ArgumentError, TailraceError) as error:
            sys.exit(f"{text}: {error}")
        if file is None:
            sys.exit(f"{text}: it has no file, so nothing to compare it with")
        return cls(tuple(shlex.split(text)), asked.name, file)

    def __str__(self) -> str:
        return " ".join(self.arguments)

    @property
    def told(self) -> dict[str, str]:
        """Environment variables that name it to the bare loop and the peers."""
        return {environment.MODEL: self.name, environment.FILE: str(self.file)}


def tailrace(model: ServedModel, concurrency: int, workers: int = 1, *flags: str) -> Contender:
    """`tailrace serve`, each process with `concurrency` threads."""
    return Contender(
        name="tailrace",
        title="Tailrace",
        settings=" ".join((f"--workers {workers} --concurrency {concurrency}", *flags)),
        command=lambda port, _: [
            *(sys.executable, "-m", "tailrace", "serve", *model.arguments, "--port", str(port)),
            *("--workers", str(workers), "--concurrency", str(concurrency), *flags),
        ],
        path=f"/predict/{model.name}",
    )


def gunicorn(application: str, port: int, *flags: str) -> list[str]:
    """gunicorn, of an application in peers/flask."""
    return [
        *(program("flask", "gunicorn"), application, "--chdir", str(PEERS / "flask")),
        *("--bind", f"127.0.0.1:{port}", "--log-level", "error", "--worker-tmp-dir", "/dev/shm"),
        *flags,
    ]


def litserve(file: str) -> list[str]:
    """A server in peers/litserve."""
    return [program("litserve", "python"), str(PEERS / "litserve" / file)]


def bentoml(service: str, port: int) -> list[str]:
    """BentoML, of a service in peers/bentoml."""
    return [
        *("env", "BENTOML_DO_NOT_TRACK=True", "BENTOML_HOME=."),
        *(program("bentoml", "bentoml"), "serve", service, "--host", "127.0.0.1"),
        *("--port", str(port), "--working-dir", str(PEERS / "bentoml")),
    ]


def _mlserver(port: int, workers: int) -> list[str]:
    # One worker is its event loop's own thread: a process of its own would only add a hop.
    return [
        *("env", "MLSERVER_HOST=127.0.0.1", f"MLSERVER_HTTP_PORT={port}", "MLSERVER_GRPC_PORT=0"),
        *("MLSERVER_METRICS_PORT=0", "MLSERVER_DEBUG=false", "MLSERVER_GZIP_ENABLED=false"),
        f"MLSERVER_PARALLEL_WORKERS={workers if workers > 1 else 0}",
        *(program("mlserver", "mlserver"), "start", str(PEERS / "mlserver")),
    ]


FLASK = Contender(
    name="flask",
    title="Flask, gunicorn sync",
    settings="-w W: the original's design; a connection a request",
    command=lambda port, workers: gunicorn("server:app", port, "--workers", str(workers)),
    path="/predict",
)

PEERS_OF_THE_MODEL = (
    FLASK,
    Contender(
        name="flask-gthread",
        title="Flask, gunicorn gthread",
        settings="-w W --threads 2, connections kept alive",
        command=lambda port, workers: gunicorn(
            "server:app", port, "--workers", str(workers), "--threads", "2", "--keep-alive", "75"
        ),
        path="/predict",
    ),
    Contender(
        name="litserve",
        title="LitServe",
        settings="workers_per_device=W, fast_queue, one API server, no batching",
        command=lambda _port, _workers: litserve("server.py"),
        path="/predict",
    ),
    Contender(
        name="bentoml",
        title="BentoML",
        settings="workers=W, threads=1, uvloop, no batching, access log off",
        command=lambda port, _: bentoml("server:Detector", port),
        path="/predict",
    ),
    Contender(
        name="mlserver",
        title="MLServer",
        settings="custom handler; parallel_workers=W, none for W = 1; debug off",
        command=_mlserver,
        path="/predict",
    ),
    Contender(
        name="ray",
        title="Ray Serve",
        settings="num_replicas=W, throughput optimized, HAProxy with one thread, no batching",
        command=lambda _port, _workers: [
            *("env", "RAY_USAGE_STATS_ENABLED=0", "RAY_AUTH_MODE=disabled"),
            *("RAY_SERVE_THROUGHPUT_OPTIMIZED=1", "RAY_SERVE_ENABLE_HA_PROXY=1"),
            "RAY_SERVE_HAPROXY_NBTHREAD=1",
            *(program("ray", "python"), str(PEERS / "ray" / "server.py")),
        ],
        path="/predict",
    ),
)
"""The same model behind other servers, each configured as its documentation advises."""


@contextlib.contextmanager
def serving(
    contender: Contender, model: ServedModel, picture: bytes, workers: int, cores: str
) -> Iterator[Running]:
    """A contender that has answered `picture`, on these cores."""

    def predict(base_url: str) -> Request:
        return picture_request(base_url + contender.path, picture)

    told = {**model.told, environment.WORKERS: str(workers)}
    with running(lambda port: contender.command(port, workers), cores, told, predict) as server:
        yield server


def picture_request(url: str, picture: bytes) -> Request:
    """A JPEG to be posted."""
    return Request(url, picture, {"Content-Type": "image/jpeg"})


def _say(message: str) -> None:
    print(message, file=sys.stderr)
