"""MLPerf's scenarios over HTTP against in process: the same model, samples, thread and core.

    python -m benchmarks.mlperf.over_http [--model shapes] [--rounds 3] [--seconds 6] [--share 0.7]

One inference thread on one core: of the test's own process, or of `tailrace serve`, with LoadGen on
the other core. Each round measures the offline throughput of each way, and single-stream's p90;
then p99 under the same Poisson load, a share of the least of these throughputs.
"""

import argparse
import json
import subprocess
import sys
import tempfile

from benchmarks.common import CLIENT_CORE, SERVER_CORE, need, spread
from benchmarks.serving import contenders
from benchmarks.serving.contenders import ServedModel
from benchmarks.serving.pictures import pictures
from benchmarks.serving.processes import prepare

WAYS = ("in process, tensor", "in process, picture", "HTTP, tensor", "HTTP, picture")
_FEWEST_QUERIES = "100"
_TIMEOUT_S = 600


def measure(model: ServedModel, way: str, url: str, scenario: str, *more: str) -> dict[str, float]:
    """The figures of one run of `tailrace mlperf`."""
    place, payload = way.split(", ")
    if place == "HTTP":
        core, where = CLIENT_CORE, (model.name, "--target", url)
    else:
        core, where = SERVER_CORE, (*model.arguments, "--concurrency", "1")
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as folder:
        done = subprocess.run(
            [
                *("taskset", "-c", core, sys.executable, "-m", "tailrace", "mlperf", *where),
                *("--scenario", scenario, "--payload", payload, "--json"),
                *("--min-queries", _FEWEST_QUERIES, "--out", f"{folder}/out", *more),
            ],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    if not done.stdout:
        sys.exit(f"{way}, {scenario}: {done.stderr}")
    result = json.loads(done.stdout)
    if result["outcome"]["failed"] or result["outcome"]["ended"] != "finished":
        sys.exit(f"{way}, {scenario}: {result['check']['reasons']}")
    figures: dict[str, float] = result["check"]["figures"]
    return figures


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="shapes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--share", type=float, default=0.7)
    arguments = parser.parse_args()
    need("taskset")
    prepare(CLIENT_CORE)
    model = ServedModel.parse(arguments.model)
    lasting = ("--min-duration", f"{arguments.seconds}s")
    found: dict[str, dict[str, list[float]]] = {
        way: {"offline": [], "p90": [], "p99": []} for way in WAYS
    }
    rates = []
    with pictures() as directory:
        picture = next(iter(sorted(directory.iterdir()))).read_bytes()
    server = contenders.tailrace(model, 1)
    for number in range(arguments.rounds):
        with contenders.serving(server, model, picture, 1, SERVER_CORE) as running:
            url = running.base_url
            for way in WAYS:
                offline = measure(model, way, url, "offline", *lasting)
                found[way]["offline"].append(offline["samples_per_s"])
                single = measure(model, way, url, "single-stream", *lasting)
                found[way]["p90"].append(single["latency_p90_ms"])
            rates.append(arguments.share * min(found[way]["offline"][-1] for way in WAYS))
            for way in WAYS:
                rated = ("--rate", f"{rates[-1]:.1f}", "--slo", "p99<1s")
                load = measure(model, way, url, "server", *lasting, *rated)
                found[way]["p99"].append(load["latency_p99_ms"])
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    print(f"Poisson load: {spread(rates, '.0f')}/s\n")
    print("| way | offline samples/s | × in process | single-stream p90 ms | server p99 ms |")
    print("| --- | --- | --- | --- | --- |")
    for way in WAYS:
        alone = found[f"in process, {way.split(', ')[1]}"]["offline"]
        pairs = zip(found[way]["offline"], alone, strict=True)
        ratios = [mine / base for mine, base in pairs]
        print(
            f"| {way} | {spread(found[way]['offline'], '.0f')} | {spread(ratios, '.2f')} "
            f"| {spread(found[way]['p90'], '.2f')} | {spread(found[way]['p99'], '.2f')} |"
        )


if __name__ == "__main__":
    main()
