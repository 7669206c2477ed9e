"""What it costs to take a worker's report in, to merge an interval, and to merge the window, which
the control room does once a second for each service that somebody looks at.

    python -m benchmarks.control.window [--rounds 5]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import msgspec
import numpy as np

from benchmarks.fleet.scale import snapshot
from tailrace.control.window import summarize
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.measurement import Measurement, added
from tailrace.load.measure.point import WINDOW, Interval, Point, close
from tailrace.load.worker.messages import Snapshot, decoder, frame

_ANSWERS = 2000


def report(worker: int, stages: int) -> bytes:
    """What a worker tells of an interval, as it goes over the wire."""
    draws = np.random.default_rng(worker)
    told = snapshot(_ANSWERS, stages=False)
    times = {
        f"s{number}": Histogram.of((1e6 * draws.lognormal(0.0, 0.5, _ANSWERS)).astype(np.int64))
        for number in range(stages)
    }
    return frame(
        Snapshot(last=False, measured=msgspec.structs.replace(told.measured, stages=times))
    )


def interval(index: int, frames: list[bytes], total: list[Measurement]) -> Interval:
    """What a session makes of the reports of one interval."""
    parts = [decoder.decode(data[4:]) for data in frames]
    measured = added(
        msgspec.structs.replace(part.measured, index=index)
        for part in parts
        if isinstance(part, Snapshot)
    )
    total[0] += measured
    point = close(
        Point,
        measured,
        index=index,
        t_s=index + 1.0,
        wall_time=index + 1.0,
        interval_s=1.0,
        target_per_s=1.0,
        **dict.fromkeys(("rps", "qps", "cpu_percent"), 1.0),
    )
    return Interval(point, measured, 1.0)


def median_ms(work: Callable[[], object], rounds: int) -> float:
    """CPU time of this thread."""
    spans = []
    for _ in range(rounds):
        began = time.thread_time()
        work()
        spans.append(1e3 * (time.thread_time() - began))
    return statistics.median(spans)


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{_ANSWERS:,} answers a worker and interval, medians of {rounds} rounds\n")
    print("| workers | stages | an interval, ms | a window of 60, ms |")
    print("| --- " * 4 + "|")
    for workers, stages in ((1, 0), (1, 7), (8, 7), (8, 64)):
        frames = [report(worker, stages) for worker in range(workers)]
        total = [Measurement()]
        history = [interval(index, frames, total) for index in range(WINDOW)]
        one = median_ms(lambda: interval(WINDOW, frames, total), rounds)  # noqa: B023
        window = median_ms(lambda: summarize(history), rounds)  # noqa: B023
        print(f"| {workers} | {stages} | {one:.2f} | {window:.1f} |")


if __name__ == "__main__":
    main()
