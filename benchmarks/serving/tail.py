"""The tail of `tailrace serve` at 70 % of its saturated rate, against an ideal queue's.

    python -m benchmarks.serving.tail [--model shapes]... [--rounds 3] [--share 0.7]

Each round measures the rate at saturation, which gives the service time D = threads / rate; offers
Poisson arrivals at a share of that rate; and simulates, exactly, what an M/D/c queue would make of
the very same arrivals. A third p99, of M/G/c, has the service times that single requests reported
in Server-Timing under the same load: what it adds to M/D/c's is the spread of service times, what
is measured beyond it is overhead and waiting that no queue needs.
`python -m benchmarks.serving.queueing` holds the simulation to theory.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import CLIENT_CORE, SERVER_CORE, need, run, saturated_per_s, spread
from benchmarks.serving import contenders
from benchmarks.serving.contenders import ServedModel
from benchmarks.serving.pictures import pictures
from benchmarks.serving.probe import service_times_s
from benchmarks.serving.processes import prepare
from benchmarks.serving.queueing import Floats, latencies_s
from tailrace.load.schedule.arrivals import Poisson
from tailrace.load.schedule.profile import constant
from tailrace.load.schedule.schedule import Schedule

DEFAULT_MODELS = ("shapes", "ssd-mobilenet --twin")
GOAL = 1.25
_SATURATING_S = 4
_PROBE_S = 6.0


@dataclass(frozen=True, slots=True)
class Round:
    """p99 in ms of one round, measured and ideal; rates a second."""

    saturated_per_s: float
    measured_ms: float
    mdc_ms: float
    mgc_ms: float


def measure(model: ServedModel, seed: int, directory: Path, arguments: argparse.Namespace) -> Round:
    """One round, with a server of its own."""
    threads, workers, cores = arguments.concurrency, arguments.workers, arguments.cores
    servers = threads * workers
    server = contenders.tailrace(model, threads, workers)
    picture = next(iter(sorted(directory.iterdir()))).read_bytes()
    with contenders.serving(server, model, picture, workers, cores) as running:
        url = running.base_url + server.path
        saturated = saturated_per_s(
            url, arguments.ceiling, 8 * servers, _SATURATING_S, "--body", str(directory)
        )
        rate = arguments.share * saturated
        probed_s = service_times_s(url, intended_s(rate, _PROBE_S, seed), directory)
        measured_ms = poisson_p99_ms(url, rate, arguments.seconds, seed, directory)
    arrivals_s = intended_s(rate, arguments.seconds, seed)
    fixed_s = np.full(len(arrivals_s), servers / saturated)
    drawn_s = np.random.default_rng(seed).choice(probed_s, len(arrivals_s))
    return Round(
        saturated,
        measured_ms,
        p99_ms(latencies_s(arrivals_s, fixed_s, servers)),
        p99_ms(latencies_s(arrivals_s, drawn_s, servers)),
    )


def intended_s(rate_per_s: float, seconds: float, seed: int) -> Floats:
    """The instants at which `tailrace load` sends Poisson arrivals, s since its start."""
    schedule = Schedule(Poisson(), constant(rate_per_s), seed)
    times_ns = schedule.next_piece()
    while times_ns[-1] < seconds * 1e9:
        times_ns = np.concatenate([times_ns, schedule.next_piece()])
    return times_ns[times_ns < seconds * 1e9] / 1e9


def poisson_p99_ms(
    url: str, rate_per_s: float, seconds: float, seed: int, directory: Path
) -> float:
    """p99 of `tailrace load`, from the intended instants; exits if a request failed."""
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as out:
        result = json.loads(
            run(
                *(sys.executable, "-m", "tailrace", "load", url, "--json"),
                *("--rate", repr(rate_per_s), "--for", f"{seconds}s", "--seed", str(seed)),
                *("--body", str(directory), "--out", out + "/run"),
            )
        )
    if result["failed"]:
        sys.exit(f"{url}: requests failed at {rate_per_s:,.1f}/s: {result['failed']}")
    return float(result["latency_ms"]["p99"])


def p99_ms(latencies: Floats) -> float:
    """MLPerf's percentile, sorted[int(n p)], in ms."""
    return float(np.sort(latencies)[int(len(latencies) * 0.99)] * 1000)


def report(name: str, rounds: Sequence[Round]) -> str:
    """The row of a model."""
    ratios = [each.measured_ms / each.mdc_ms for each in rounds]
    met = "met" if statistics.median(ratios) <= GOAL else "missed"
    cells = [
        spread([each.saturated_per_s for each in rounds], ",.1f"),
        spread([each.measured_ms for each in rounds], ",.1f"),
        spread([each.mdc_ms for each in rounds], ",.1f"),
        spread([each.mgc_ms for each in rounds], ",.1f"),
        spread(ratios, ".2f"),
        spread([each.measured_ms / each.mgc_ms for each in rounds], ".2f"),
    ]
    return f"| {name} | {' | '.join(cells)} | ≤ {GOAL}: {met} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", help="as `tailrace serve` takes it; repeatable")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of Poisson arrivals, a round")
    parser.add_argument("--share", type=float, default=0.7, help="of the saturated rate")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--concurrency", type=int, default=1, help="threads a process")
    parser.add_argument("--ceiling", type=float, default=2000.0, help="a rate that saturates, 1/s")
    parser.add_argument("--cores", default=SERVER_CORE, help="the server's, as 1,2")
    parser.add_argument("--pictures", type=Path, help="a folder of them; drawn ones by default")
    arguments = parser.parse_args()
    need("taskset")
    prepare(CLIENT_CORE)
    models = [ServedModel.parse(text) for text in arguments.model or DEFAULT_MODELS]
    round_s = arguments.seconds + _PROBE_S + _SATURATING_S + 5
    print(f"about {len(models) * arguments.rounds * round_s:.0f} s", file=sys.stderr)
    rows = []
    with pictures(arguments.pictures) as directory:
        for model in models:
            rounds = []
            for number in range(1, arguments.rounds + 1):
                rounds.append(measure(model, number, directory, arguments))
                print(f"{model}: {rounds[-1]}", file=sys.stderr)
            rows.append(report(str(model), rounds))
    print("| model | saturated, 1/s | p99 ms | M/D/c | M/G/c | ÷ M/D/c | ÷ M/G/c | goal |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
