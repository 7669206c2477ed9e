"""Throughput at saturation of `tailrace serve`, JPEG in, against the bare loop.

    python -m benchmarks.serving.saturation [--model "ssd-mobilenet --twin"]... [--rounds 5]

The bare loop decodes, preprocesses and runs the same pictures in as many processes and threads, on
the same cores, and answers nobody. Rounds alternate: bare, served, bare, served, ..., bare; each
served rate is divided by the mean of the bare ones before and after it.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import CLIENT_CORE, SERVER_CORE, need, saturated_per_s, spread
from benchmarks.serving import contenders
from benchmarks.serving.bare import bare_per_s
from benchmarks.serving.contenders import ServedModel
from benchmarks.serving.pictures import pictures
from benchmarks.serving.processes import prepare

DEFAULT_MODELS = ("shapes", "ssd-mobilenet --twin")
GOAL = 0.95


def measure(
    model: ServedModel, directory: Path, arguments: argparse.Namespace
) -> tuple[list[float], list[float]]:
    """Pictures a second, bare (one round more) and served."""
    threads, workers, cores = arguments.concurrency, arguments.workers, arguments.cores

    def bare() -> float:
        return bare_per_s(model, directory, arguments.seconds, cores, threads, workers)

    server = contenders.tailrace(model, threads, workers)
    picture = next(iter(sorted(directory.iterdir()))).read_bytes()
    bares, served = [bare()], []
    for number in range(1, arguments.rounds + 1):
        with contenders.serving(server, model, picture, workers, cores) as running:
            served.append(
                saturated_per_s(
                    running.base_url + server.path,
                    3 * bares[-1],
                    arguments.connections,
                    arguments.seconds,
                    *("--body", str(directory)),
                )
            )
        bares.append(bare())
        print(f"{model}: round {number} of {arguments.rounds}", file=sys.stderr)
    return bares, served


def ratios(bares: Sequence[float], served: Sequence[float]) -> list[float]:
    """Each served rate by the mean of the bare ones before and after it."""
    return [2 * rate / sum(bares[i : i + 2]) for i, rate in enumerate(served)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", help="as `tailrace serve` takes it; repeatable")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--concurrency", type=int, default=1, help="threads a process")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--cores", default=SERVER_CORE, help="the server's, as 1,2")
    parser.add_argument("--pictures", type=Path, help="a folder of them; drawn ones by default")
    arguments = parser.parse_args()
    need("taskset")
    prepare(CLIENT_CORE)
    models = [ServedModel.parse(text) for text in arguments.model or DEFAULT_MODELS]
    round_s = 2 * arguments.seconds + 6
    print(f"about {len(models) * (arguments.rounds + 0.5) * round_s:.0f} s", file=sys.stderr)
    with pictures(arguments.pictures) as directory:
        measured = {str(model): measure(model, directory, arguments) for model in models}
    print("| model | bare loop, pictures/s | served | served ÷ bare | goal |")
    print("| --- | --- | --- | --- | --- |")
    for name, (bares, served) in measured.items():
        each = ratios(bares, served)
        met = "met" if statistics.median(each) >= GOAL else "missed"
        print(
            f"| {name} | {spread(bares, ',.1f')} | {spread(served, ',.1f')} "
            f"| {spread(each, '.3f')} | ≥ {GOAL}: {met} |"
        )


if __name__ == "__main__":
    main()
