"""What our system under test costs LoadGen, with a model that does nothing.

    python -m benchmarks.mlperf.overhead [--rounds 5] [--seconds 3]

Three systems, each in a process of its own on one core, in turns: *bare* answers within LoadGen's
own call, the least that Python can do; *queue* hands over to a thread through `queue.Queue`, as
MLPerf's reference does; *tailrace* is what `tailrace mlperf null` runs: account, queue, batches,
threads. Single-stream gives the latency of one query at a time, offline what 200,000 samples in one
query take.
"""

import argparse
import json
import queue
import re
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import mlperf_loadgen as lg
import numpy as np

from benchmarks.common import SERVER_CORE, need, spread
from tailrace.mlperf.ledger import Failures
from tailrace.mlperf.loadgen import LoadGen
from tailrace.mlperf.local import LocalSystem
from tailrace.mlperf.samples import SampleLibrary
from tailrace.service.config import ServiceConfig

SYSTEMS = ("bare", "queue", "tailrace")
SAMPLES = 200_000
_ANSWER = np.zeros(7, np.float32)


def settings(scenario: str, seconds: float) -> lg.TestSettings:
    """LoadGen's settings of one measurement."""
    wanted = lg.TestSettings()
    wanted.scenario = getattr(lg.TestScenario, scenario)
    wanted.mode = lg.TestMode.PerformanceOnly
    wanted.min_duration_ms = round(1000 * seconds) if scenario == "SingleStream" else 0
    wanted.min_query_count = 1 if scenario == "SingleStream" else SAMPLES
    wanted.single_stream_expected_latency_ns = 3000
    return wanted


def answer(query_ids: Sequence[int]) -> None:
    """Tells LoadGen that these are done."""
    address = _ANSWER.__array_interface__["data"][0]
    lg.QuerySamplesComplete(
        [lg.QuerySampleResponse(query_id, address, _ANSWER.nbytes) for query_id in query_ids]
    )


def queued() -> Callable[[list[lg.QuerySample]], None]:
    """The reference's way: a queue, and a thread that answers."""
    waiting: queue.Queue[int] = queue.Queue()

    def work() -> None:
        while True:
            answer([waiting.get()])

    threading.Thread(target=work, daemon=True).start()

    def issue(queries: list[lg.QuerySample]) -> None:
        for query in queries:
            waiting.put(query.id)

    return issue


def measure(system: str, scenario: str, seconds: float, folder: Path) -> None:
    """One measurement, in this process."""
    wanted = settings(scenario, seconds)
    if system == "tailrace":
        local = LocalSystem(ServiceConfig(models=("null",), concurrency=1))
        library = SampleLibrary(64, lambda _: b"null", local.model.format, "tensor")
        test = LoadGen(local, library, 64, Failures.LAST)
        test.start(wanted, folder)
        test.finished.wait()
        return
    issue = queued() if system == "queue" else lambda queries: answer([q.id for q in queries])
    output = lg.LogOutputSettings()
    output.outdir = str(folder)
    logs = lg.LogSettings()
    logs.log_output = output
    logs.enable_trace = False
    sut = lg.ConstructQDL(issue, lambda: None, lambda: system)
    qsl = lg.ConstructQSL(64, 64, lambda _: None, lambda _: None)
    lg.StartTestWithLogSettings(sut, qsl, wanted, logs, "")


def figures(system: str, scenario: str, seconds: float) -> dict[str, float]:
    """One measurement, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as folder:
        subprocess.run(
            [
                *("taskset", "-c", SERVER_CORE, sys.executable, "-m", __spec__.name),
                *("--one", system, scenario, str(seconds), folder),
            ],
            check=True,
        )
        log = (Path(folder) / "mlperf_log_detail.txt").read_text()
    found = dict(re.findall(r'"key": "(result_[^"]+)", "value": ([\d.e+]+)', log))
    return {name: float(value) for name, value in found.items()}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        system, scenario, seconds, folder = arguments.one
        measure(system, scenario, float(seconds), Path(folder))
        return
    need("taskset")
    p90_us: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    per_s: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    offline: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    for number in range(arguments.rounds):
        for system in SYSTEMS:
            single = figures(system, "SingleStream", arguments.seconds)
            p90_us[system].append(single["result_90.00_percentile_latency_ns"] / 1000)
            per_s[system].append(single["result_qps_with_loadgen_overhead"])
            whole = figures(system, "Offline", arguments.seconds)
            offline[system].append(whole["result_samples_per_second"])
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    print("| system | single-stream p90 µs | queries/s | offline samples/s |")
    print("| --- | --- | --- | --- |")
    for system in SYSTEMS:
        print(
            f"| {system} | {spread(p90_us[system], 1)} | {spread(per_s[system])} "
            f"| {spread(offline[system])} |"
        )
    print(
        json.dumps({system: statistics.median(p90_us[system]) for system in SYSTEMS}),
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
