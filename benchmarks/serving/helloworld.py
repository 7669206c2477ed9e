"""Requests a second of the trivial endpoint: `tailrace serve`, one worker, against its peers.

    python -m benchmarks.serving.helloworld [--rounds 3] [--seconds 3] [--only flask,litserve]

wrk drives each in a closed loop of 32 connections. Tailrace answers GET /helloworld without its
queue. LitServe and BentoML have POST alone for what they serve; LitServe's goes through its queue
to a worker process, so its /health, a plain route, is measured beside it, and BentoML's /livez.
"""

import argparse
import re
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request

from benchmarks.common import CLIENT_CORE, SERVER_CORE, need, run, spread
from benchmarks.serving import contenders
from benchmarks.serving.contenders import Command, ServedModel, bentoml, gunicorn, litserve
from benchmarks.serving.processes import prepare, running

CONNECTIONS = 32
_POST = 'wrk.method = "POST"\nwrk.body = "{}"\nwrk.headers["Content-Type"] = "application/json"\n'
_HELLO = "/helloworld"


@dataclass(frozen=True, slots=True)
class Trivial:
    """A server's trivial endpoint."""

    name: str
    title: str
    command: Command
    path: str = _HELLO
    post: bool = False
    goal: float | None = None
    """How many times its rate Tailrace must reach."""


def _tailrace(port: int, workers: int) -> list[str]:
    return contenders.tailrace(ServedModel.parse("shapes"), 1, workers).command(port, workers)


TRIVIAL = (
    Trivial("tailrace", "Tailrace", _tailrace),
    Trivial(
        "flask",
        "Flask, gunicorn -w 1",
        lambda port, _: gunicorn("hello:app", port, "--workers", "1"),
        goal=3.0,
    ),
    Trivial(
        "flask-gthread",
        "Flask, gunicorn -w 1 --threads 8, kept alive",
        lambda port, _: gunicorn(
            *("hello:app", port, "--workers", "1", "--threads", "8", "--keep-alive", "75")
        ),
        goal=3.0,
    ),
    Trivial(
        "litserve",
        "LitServe /predict",
        lambda _port, _workers: litserve("hello.py"),
        path="/predict",
        post=True,
        goal=1.5,
    ),
    Trivial(
        "litserve-health",
        "LitServe /health",
        lambda _port, _workers: litserve("hello.py"),
        path="/health",
    ),
    Trivial(
        "bentoml",
        "BentoML",
        lambda port, _: bentoml("hello:Hello", port),
        post=True,
        goal=1.5,
    ),
    Trivial(
        "bentoml-livez", "BentoML /livez", lambda port, _: bentoml("hello:Hello", port), "/livez"
    ),
)


def measure(trivial: Trivial, seconds: int, script: Path, cores: str) -> float:
    """Requests a second; exits if one was answered with an error."""

    def probe(base_url: str) -> Request:
        body, headers = (
            (b"{}", {"Content-Type": "application/json"}) if trivial.post else (None, {})
        )
        return Request(base_url + trivial.path, body, headers)

    with running(lambda port: trivial.command(port, 1), cores, {}, probe) as server:
        wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", *(["-s", str(script)] if trivial.post else [])]
        url = server.base_url + trivial.path
        run(*wrk, "-d1s", url)
        out = run(*wrk, f"-d{seconds}s", url)
    if "Non-2xx" in out:
        sys.exit(f"{trivial.title} answered with errors:\n{out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])  # type: ignore[index]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", help=f"some of {','.join(each.name for each in TRIVIAL)}")
    parser.add_argument("--cores", default=SERVER_CORE, help="the server's, as 1,2")
    arguments = parser.parse_args()
    need("taskset", "wrk")
    prepare(CLIENT_CORE)
    only = arguments.only.split(",") if arguments.only else [each.name for each in TRIVIAL]
    chosen = [each for each in TRIVIAL if each.name in {"tailrace", *only}]
    estimate_s = arguments.rounds * len(chosen) * (arguments.seconds + 6)
    print(f"about {estimate_s} s", file=sys.stderr)
    rates: dict[str, list[float]] = {each.name: [] for each in chosen}
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        script = Path(directory) / "post.lua"
        script.write_text(_POST)
        for number in range(1, arguments.rounds + 1):
            for each in chosen:
                rates[each.name].append(measure(each, arguments.seconds, script, arguments.cores))
                print(
                    f"round {number} of {arguments.rounds}: {each.title} "
                    f"{rates[each.name][-1]:,.0f}/s",
                    file=sys.stderr,
                )
    print("| server | requests/s | Tailrace ÷ it | goal |")
    print("| --- | --- | --- | --- |")
    for each in chosen:
        ours = [a / b for a, b in zip(rates["tailrace"], rates[each.name], strict=True)]
        met = "met" if statistics.median(ours) >= (each.goal or 0) else "missed"
        goal = f"≥ {each.goal:g}: {met}" if each.goal else ""
        print(f"| {each.title} | {spread(rates[each.name])} | {spread(ours, '.2f')} | {goal} |")


if __name__ == "__main__":
    main()
