"""A fleet of load workers at a million requests a second, on paper: its own code, no network.

    python -m benchmarks.fleet.scale costs  [--rate 1e6] [--rounds 5]
    python -m benchmarks.fleet.scale clocks

`costs` times what grows with the fleet: drawing the schedule in a worker, a snapshot's bytes, and
merging the snapshots of all workers in the session. `clocks` sends the arrivals of workers whose
clocks are off through queues of known service times, and compares p99 with that of perfect clocks.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.measurement import Measurement, added
from tailrace.load.measure.point import Point, close
from tailrace.load.measure.recorder import ROWS, Recorder
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import constant
from tailrace.load.schedule.schedule import Schedule
from tailrace.load.worker.messages import Snapshot, decoder, encoder, frame

Times = NDArray[np.int64]

_HEADER = (
    b"receive;dur=%.4f, queue;dur=%.4f, batch-wait;dur=0.0000, decode;dur=%.4f, "
    b"preprocess;dur=%.4f, infer;dur=%.4f, postprocess;dur=%.4f, send;dur=%.4f"
)
_SHARES = (0.02, 0.1, 0.08, 0.04, 0.6, 0.05, 0.03)
"""Of a latency, by the stages in _HEADER that are not 0; the rest is the network's."""
_CLOCK_WORKERS = 32
_ERRORS_US = (10, 100, 1000, 5000, 20_000)


def draw(arrivals: str, rate_per_s: float, worker: int, workers: int, seconds: float) -> Times:
    """Intended times, ns, of one worker's share of `seconds` of a schedule."""
    schedule = Schedule(parse_arrivals(arrivals), constant(rate_per_s), 1, worker, workers)
    pieces: list[Times] = []
    last_ns = 0
    while last_ns < seconds * 1e9:
        piece = schedule.next_piece()
        # As a worker does, which walks through them one by one.
        last_ns = max([last_ns, *piece.tolist()[-1:]])
        pieces.append(piece)
    times = np.concatenate(pieces)
    return times[times < seconds * 1e9]


def snapshot(count: int, stages: bool) -> Snapshot:
    """What a worker reports of `count` answers in an interval: latencies log-normal about 8 ms."""
    draws = np.random.default_rng(count)
    recorder = Recorder()
    for first in range(0, count, ROWS):
        rows = min(ROWS, count - first)
        latency = (8e6 * draws.lognormal(0.0, 0.6, rows)).astype(np.int64)
        lag = (25e3 * draws.lognormal(0.0, 0.7, rows)).astype(np.int64)
        intended = np.arange(rows, dtype=np.int64) * 1000
        for row in range(rows):
            recorder.intended[row] = int(intended[row])
            recorder.sent[row] = int(intended[row] + lag[row])
            recorder.done[row] = int(intended[row] + latency[row])
            recorder.send_lags[row] = int(lag[row])
            if stages:
                spans = tuple(share * latency[row] / 1e6 for share in _SHARES)
                recorder.timings[row] = _HEADER % spans
        recorder.row = recorder.lag_row = rows
        recorder.fold()
    measured = msgspec.structs.replace(
        recorder.take(0),
        index=0,
        begun_ns=0,
        end_ns=10**9,
        worker_ns=10**9,
        offered=count,
        sent=count,
        completed=count,
        in_flight=count // 100,
        connections=count // 50,
        cpu_ns=6 * 10**8,
        tick_lag_ns=10**6,
    )
    return Snapshot(last=False, measured=measured)


def merge(frames: list[bytes]) -> None:
    """What a session does with one interval of all its workers."""
    snapshots = [decoder.decode(data[4:]) for data in frames]
    measured = added(part.measured for part in snapshots if isinstance(part, Snapshot))
    total = Measurement() + measured
    point = close(
        Point,
        measured,
        **dict.fromkeys(("index", "t_s", "wall_time", "rps", "qps", "cpu_percent"), total.index),
        interval_s=1.0,
        target_per_s=1.0,
    )
    encoder.encode(point)


def _median_s(work: Callable[[], object], rounds: int) -> float:
    spans = []
    for _ in range(rounds):
        began = time.thread_time()
        work()
        spans.append(time.thread_time() - began)
    return statistics.median(spans)


def costs(rate_per_s: float, rounds: int) -> None:
    """Prints what each part of a fleet costs in a second of its run."""
    print(f"\n{rate_per_s:,.0f} requests/s, medians of {rounds} rounds\n")
    print(
        "| workers | each, /s | drawing, % of a worker's core | snapshot, KB: no stages, seven | "
        "into the session, MB/s | merging, % of its core |"
    )
    print("| --- " * 6 + "|")
    for workers in (16, 32, 64, 128, 256):
        each = round(rate_per_s / workers)
        drawing = _median_s(lambda: draw("poisson", rate_per_s, 0, workers, 1.0), rounds)  # noqa: B023
        bare, staged = (len(frame(snapshot(each, stages))) for stages in (False, True))
        frames = [frame(snapshot(each, stages=True))] * workers
        merging = _median_s(lambda: merge(frames), rounds)  # noqa: B023
        print(
            f"| {workers} | {each:,} | {100 * drawing:.1f} | {bare / 1e3:.0f}, {staged / 1e3:.0f} "
            f"| {workers * staged / 1e6:.1f} | {100 * merging:.1f} |"
        )


def queue(arrived: Times, servers: int, service_ns: int) -> Times:
    """When each of `arrived`, ns, rising, departs from one first-come queue of `servers`.

    With one constant service time departures keep the order of arrivals, so that number n is served
    by whoever served n − servers: Dₙ = max(Aₙ, Dₙ₋ₛ) + S, Lindley's recursion by residue.
    """
    padded = -(-len(arrived) // servers) * servers
    turns = np.full(padded, np.iinfo(np.int64).max // 4)
    turns[: len(arrived)] = arrived
    turns = turns.reshape(-1, servers)
    served = service_ns * np.arange(len(turns))[:, None]
    departed = np.maximum.accumulate(turns - served, axis=0) + served + service_ns
    return np.asarray(departed.reshape(-1)[: len(arrived)])


def _p99_ms(latency_ns: Times) -> float:
    return Histogram.of(latency_ns).percentile_us(99)[0] / 1e3


def clocks() -> None:
    """Prints p99 by how far the workers' clocks are off."""
    print("\n| offered | queue at 90 % | p99, ms | by clock error (1 σ): ", end="")
    print(" | ".join(f"{error:,} µs" for error in _ERRORS_US), "|")
    print("| --- " * (3 + len(_ERRORS_US)) + "|")
    draws = np.random.default_rng(1)
    for case in _CASES:
        parts = case.parts(draws)
        off = draws.standard_normal(case.workers)
        true = _through(parts, 0 * off, case)
        cells = []
        for error_us in _ERRORS_US:
            p99 = _through(parts, 1e3 * error_us * off, case)
            cells.append(f"{p99:.3f} ({100 * (p99 / true - 1):+.1f} %)")
        print(f"| {case.offered} | {case.queue} | {true:.3f} | {' | '.join(cells)} |")
    cells = [f"{100 * _across(1e3 * error_us, draws):+.1f} %" for error_us in _ERRORS_US]
    print(f"| latency taken across two nodes | | 8.0 | {' | '.join(cells)} |")


@dataclass(frozen=True, slots=True)
class Case:
    """Arrivals of `workers`, and the queue that they go through. `at_random` shares them out by
    lot and not in turn."""

    arrivals: str
    rate_per_s: float
    seconds: float
    workers: int
    servers: int
    service_ns: int
    at_random: bool = False

    @property
    def offered(self) -> str:
        """For the table."""
        share = "by lot" if self.at_random else "in turn"
        return f"{self.rate_per_s:,.0f}/s {self.arrivals}, {self.workers} workers {share}"

    @property
    def queue(self) -> str:
        """For the table."""
        return f"{self.service_ns / 1e6:g} ms by {self.servers:,}"

    def parts(self, draws: np.random.Generator) -> list[Times]:
        """Each worker's intended times."""
        if self.at_random:
            whole = draw(self.arrivals, self.rate_per_s, 0, 1, self.seconds)
            owner = draws.integers(0, self.workers, len(whole))
            return [whole[owner == worker] for worker in range(self.workers)]
        return [
            draw(self.arrivals, self.rate_per_s, worker, self.workers, self.seconds)
            for worker in range(self.workers)
        ]


_CASES = (
    Case("poisson", 1e6, 2, 32, 4445, 4_000_000),
    Case("poisson", 1e6, 2, 32, 64, 57_600),
    Case("poisson", 1e6, 2, 32, 64, 57_600, at_random=True),
    Case("poisson", 900, 1000, 4, 4, 4_000_000),
    Case("constant", 900, 1000, 4, 4, 4_000_000),
    Case("poisson", 900, 1000, 16, 4, 4_000_000),
)


def _through(parts: list[Times], off_ns: NDArray[np.float64], case: Case) -> float:
    arrived = np.concatenate(
        [part + round(float(off)) for part, off in zip(parts, off_ns, strict=True)]
    )
    arrived.sort()
    return _p99_ms(queue(arrived, case.servers, case.service_ns) - arrived)


def _across(error_ns: float, draws: np.random.Generator) -> float:
    # What it would be if one node noted the sending and another one the answer.
    true = (8e6 * draws.lognormal(0.0, 0.05, 1_000_000)).astype(np.int64)
    off = (error_ns * draws.standard_normal((_CLOCK_WORKERS, 2))).astype(np.int64)
    sender, receiver = draws.integers(0, _CLOCK_WORKERS, (2, len(true)))
    return _p99_ms(true + off[receiver, 1] - off[sender, 0]) / _p99_ms(true) - 1


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("costs", "clocks"))
    parser.add_argument("--rate", type=float, default=1e6)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if asked.what == "costs":
        costs(asked.rate, asked.rounds)
    else:
        clocks()


if __name__ == "__main__":
    main()
