"""The bare loop: threads of one process that decode, preprocess and run, and do nothing else.

    python -m benchmarks.serving.bare DIRECTORY --threads 1 --seconds 4

Takes the model from the environment and its pictures from DIRECTORY; prints pictures a second.
"""

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.serving import detector
from benchmarks.serving.contenders import ServedModel
from tailrace.models.model import Model

_WARM_S = 0.5


def bare_per_s(
    model: ServedModel, pictures: Path, seconds: float, cores: str, threads: int, workers: int = 1
) -> float:
    """Pictures a second of `workers` processes of `threads` threads each, on these cores."""
    command = [
        *("taskset", "-c", cores, sys.executable, "-m", "benchmarks.serving.bare", str(pictures)),
        *("--threads", str(threads), "--seconds", str(seconds)),
    ]
    with ThreadPoolExecutor(workers) as pool:
        rates = pool.map(lambda _: _run(command, model), range(workers))
    return sum(rates)


def _run(command: Sequence[str], model: ServedModel) -> float:
    done = subprocess.run(
        command, env={**os.environ, **model.told}, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)


def _loop(model: Model, pictures: Sequence[bytes], seconds: float) -> float:
    turn = itertools.cycle(pictures)
    warm_s = time.perf_counter() + _WARM_S
    while (began_s := time.perf_counter()) < warm_s:
        detector.infer(model, next(turn))
    count = 0
    while (now_s := time.perf_counter()) < began_s + seconds:
        detector.infer(model, next(turn))
        count += 1
    return count / (now_s - began_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    pictures = [file.read_bytes() for file in sorted(arguments.directory.iterdir())]
    model = detector.load()
    with ThreadPoolExecutor(arguments.threads) as pool:
        rates = pool.map(
            lambda _: _loop(model, pictures, arguments.seconds), range(arguments.threads)
        )
    print(sum(rates))


if __name__ == "__main__":
    main()
