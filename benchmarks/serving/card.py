"""A model on a GPU, one process or several: throughput, and the tail at 70 % of it.

    python -m benchmarks.serving.card [--model "ssd-mobilenet --twin"]... [--mps]

Needs an NVIDIA card and ONNX Runtime's GPU build. The client has core 0, the server the others.
With --mps each row of several processes is measured under NVIDIA's MPS, too, which lets their
kernels run side by side. Rows are measured one after the other, `--rounds` times over.
"""

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import onnxruntime
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.common import CLIENT_CORE, need, run, saturated_per_s, spread
from benchmarks.serving import contenders
from benchmarks.serving.contenders import Contender, ServedModel
from benchmarks.serving.pictures import pictures
from benchmarks.serving.processes import Running, prepare

DEFAULT_MODELS = ("ssd-mobilenet --twin", "ssd-resnet34 --twin")
OFFERED_PER_S = 20_000.0
SHARE = 0.7
_READY_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Row:
    """How a model is served."""

    server: Contender
    workers: int
    mps: bool = False

    def __str__(self) -> str:
        return self.server.settings + (", MPS" if self.mps else "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a row did in a round."""

    saturated_per_s: float
    batch: float
    """Mean rows of an inference at saturation."""
    p50_ms: float
    p99_ms: float
    gpu_mb: float
    """Memory taken of the card's, all processes together; NaN without one."""
    ready_s: float
    """From its start until all its threads were warm."""


def rows(model: ServedModel, device: str, workers: int, mps: bool) -> list[Row]:
    """One process without and with batches, where the file takes them, and several."""
    batches = onnxruntime.InferenceSession(str(model.file)).get_inputs()[0].shape[0] != 1

    def row(concurrency: int, processes: int, *flags: str) -> Row:
        on = ("--device", device, *flags)
        return Row(contenders.tailrace(model, concurrency, processes, *on), processes)

    several = row(1, workers)
    return [
        row(1, 1),
        row(4, 1),
        *([row(2, 1, "--max-batch", "8")] if batches else []),
        several,
        *([replace(several, mps=True)] if mps else []),
    ]


def measure(
    row: Row, model: ServedModel, directory: Path, arguments: argparse.Namespace
) -> Outcome:
    """Saturation first, then Poisson arrivals at 70 % of it."""
    picture = next(iter(sorted(directory.iterdir()))).read_bytes()
    with (
        _mps() if row.mps else contextlib.nullcontext(),
        contenders.serving(row.server, model, picture, row.workers, arguments.cores) as running,
    ):
        ready_s = _wait_until_ready(running)
        url = running.base_url + row.server.path
        body = ("--body", str(directory))
        rate = saturated_per_s(url, OFFERED_PER_S, arguments.connections, arguments.seconds, *body)
        told = _metrics(running.base_url)
        with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as out:
            text = run(
                *(sys.executable, "-m", "tailrace", "load", url, *body, "--json"),
                *("--rate", str(SHARE * rate), "--for", f"{arguments.seconds + 1}s"),
                *("--min-duration", "1s", "--out", f"{out}/run"),
            )
        latency_ms = json.loads(text)["latency_ms"]
        return Outcome(
            saturated_per_s=rate,
            batch=told["tailrace_batch_size_sum"] / told["tailrace_batch_size_count"],
            p50_ms=latency_ms["p50"],
            p99_ms=latency_ms["p99"],
            gpu_mb=told.get("tailrace_gpu_memory_used_bytes", math.nan) / 1e6,
            ready_s=ready_s,
        )


def _wait_until_ready(running: Running) -> float:
    began_s = time.monotonic()
    while time.monotonic() < began_s + _READY_WITHIN_S:
        with contextlib.suppress(HTTPError):
            urlopen(f"{running.base_url}/v2/health/ready", timeout=10).close()
            return running.cold_start_s + time.monotonic() - began_s
        time.sleep(0.05)
    sys.exit(f"it was not ready within {_READY_WITHIN_S:g} s")


def _metrics(base_url: str) -> dict[str, float]:
    with urlopen(f"{base_url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@contextlib.contextmanager
def _mps() -> Iterator[None]:
    # Programs of CUDA find the daemon by this variable.
    with tempfile.TemporaryDirectory(prefix="tailrace-mps-") as directory:
        os.environ["CUDA_MPS_PIPE_DIRECTORY"] = os.environ["CUDA_MPS_LOG_DIRECTORY"] = directory
        try:
            subprocess.run(["nvidia-cuda-mps-control", "-d"], check=True, timeout=30)
            try:
                yield
            finally:
                subprocess.run(
                    ["nvidia-cuda-mps-control"], input=b"quit\n", check=False, timeout=60
                )
        finally:
            del os.environ["CUDA_MPS_PIPE_DIRECTORY"], os.environ["CUDA_MPS_LOG_DIRECTORY"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", help="as `tailrace serve` takes it; repeatable")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=8, help="processes of the last rows")
    parser.add_argument("--mps", action="store_true", help="NVIDIA's MPS as well")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--cores", default=f"1-{(os.cpu_count() or 2) - 1}", help="the server's")
    parser.add_argument("--pictures", type=Path, help="a folder of them; drawn ones by default")
    arguments = parser.parse_args()
    need("taskset", *(["nvidia-cuda-mps-control"] if arguments.mps else []))
    prepare(CLIENT_CORE)
    models = [ServedModel.parse(text) for text in arguments.model or DEFAULT_MODELS]
    todo = [
        (m, r) for m in models for r in rows(m, arguments.device, arguments.workers, arguments.mps)
    ]
    print(f"about {len(todo) * arguments.rounds * (2 * arguments.seconds + 8)} s", file=sys.stderr)
    found: dict[tuple[str, str], list[Outcome]] = {}
    with pictures(arguments.pictures) as directory:
        for number in range(1, arguments.rounds + 1):
            for model, row in todo:
                outcome = measure(row, model, directory, arguments)
                found.setdefault((str(model), str(row)), []).append(outcome)
                print(f"round {number}: {model} {row}: {outcome}", file=sys.stderr)
    print(
        "| model | settings | saturated, 1/s | rows a batch | p50 at 70 %, ms | p99, ms |"
        " GPU memory, MB | ready after, s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for (name, settings), outcomes in found.items():
        cells = (
            spread([o.saturated_per_s for o in outcomes]),
            spread([o.batch for o in outcomes], ".1f"),
            spread([o.p50_ms for o in outcomes], ".2f"),
            spread([o.p99_ms for o in outcomes], ".2f"),
            spread([o.gpu_mb for o in outcomes]),
            spread([o.ready_s for o in outcomes], ".1f"),
        )
        print(f"| {name} | `{settings}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
