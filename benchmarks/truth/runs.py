"""What runs say of percentiles and bounds, against services that are simulated and known exactly.

    python -m benchmarks.truth.runs intervals|decisions|stationary [--rates 20,200,2000]
        [--lengths 30,60,120] [--runs 400] [--cells]
    python -m benchmarks.truth.runs power [--rates 200] [--lengths 600] [--runs 400]

A cell is a service at one rate, for one length. `--cells` prints each of them.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tailrace.load.judge.dependence import decide, interval_us
from tailrace.load.judge.slo import parse_slo
from tailrace.load.judge.stationarity import stationary as why_not_stationary
from tailrace.load.judge.stretches import Stretches
from tests.kit.queues import Modulated, Queue, Service, Stalling, grid, percentile_s, stretches_of

PERCENTS = (50.0, 90.0, 99.0)


@dataclass(frozen=True, slots=True)
class Cell:
    """A service for one length, and what became of so many runs of it."""

    service: Service
    for_s: float
    runs: int

    def __str__(self) -> str:
        return f"{self.service}, {self.for_s:g} s"

    def drawn(self) -> Iterator[Stretches]:
        """The runs, the same at each call."""
        rng = np.random.default_rng(20261201)
        for _ in range(self.runs):
            requests = self.service.draw(rng, self.for_s)
            yield stretches_of(requests, self.for_s, self.service.rate_per_s)


def percent(share: float) -> str:
    """A share as a table has it."""
    return f"{100 * share:.1f}"


def intervals(services: Sequence[Service], lengths: Sequence[float], runs: int) -> Iterator[str]:
    """How often 95 % intervals are given, and hold the percentile."""
    given_shares, held = [], []
    for cell in cells(services, lengths, runs):
        truths_us = [percentile_s(cell.service, each) * 1e6 for each in PERCENTS]
        found = np.zeros((len(PERCENTS), 2))
        for stretches in cell.drawn():
            for place, (each, truth_us) in enumerate(zip(PERCENTS, truths_us, strict=True)):
                if (interval := interval_us(stretches, each)) is not None:
                    found[place] += 1, interval[0] <= truth_us <= interval[1]
        for each, (given, holding) in zip(PERCENTS, found, strict=True):
            given_shares.append(given / runs)
            is_atom = cell.service.share_over(percentile_s(cell.service, each) * (1 - 1e-6)) > (
                1.05 * (1 - each / 100)
            )
            if given >= runs / 2 and not is_atom:
                held.append(holding / given)
            yield (
                f"| {cell} | p{each:g} | {percent(given / runs)} | "
                f"{percent(holding / given) if given else '–'} | {'atom' if is_atom else ''} |"
            )
    short = np.mean(np.array(given_shares) < 0.5)
    yield (
        f"= of {len(given_shares)} cells {percent(float(short))} % are too short to tell; where an "
        f"interval is given: {percent(min(held))} to {percent(max(held))} %, median "
        f"{percent(float(np.median(held)))} %; below 90 %: {sum(one < 0.9 for one in held)}, above "
        f"99 %: {sum(one > 0.99 for one in held)} of {len(held)}"
    )


def decisions(services: Sequence[Service], lengths: Sequence[float], runs: int) -> Iterator[str]:
    """How often a bound is called kept at which exactly 1 % are over, and broken where the true p99
    is 0.9 times the bound."""
    false_kept, false_broken = [], []
    for cell in cells(services, lengths, runs):
        p99_ms = percentile_s(cell.service, 99.0) * 1e3
        just, within = (parse_slo(f"p99<{ms:.9f}ms") for ms in (p99_ms, p99_ms / 0.9))
        found = np.zeros(3)
        for stretches in cell.drawn():
            kept = decide(stretches, just).outcome == "kept"
            outcome = decide(stretches, within).outcome
            found += kept, outcome == "broken", outcome == "kept"
        false_kept.append(found[0] / runs)
        false_broken.append(found[1] / runs)
        yield f"| {cell} | " + " | ".join(percent(share) for share in found / runs) + " |"
    yield (
        f"= falsely kept {percent(float(np.mean(false_kept)))} % on average, at most "
        f"{percent(max(false_kept))} %; falsely broken {percent(float(np.mean(false_broken)))} %, "
        f"at most {percent(max(false_broken))} %, of {len(false_kept)} cells"
    )


def power(services: Sequence[Service], lengths: Sequence[float], runs: int) -> Iterator[str]:
    """How often a bound is called kept at which 0.5 % are over, and broken where 2 % are."""
    for cell in cells([one for one in services if getattr(one, "load", 0) == 0.7], lengths, runs):
        bounds = [percentile_s(cell.service, each) * 1e3 for each in (99.5, 98.0)]
        within, beyond = (parse_slo(f"p99<{ms:.9f}ms") for ms in bounds)
        found = np.zeros(2)
        for stretches in cell.drawn():
            found += (
                decide(stretches, within).outcome == "kept",
                decide(stretches, beyond).outcome == "broken",
            )
        yield f"| {cell} | " + " | ".join(percent(share) for share in found / runs) + " |"


def stationary(services: Sequence[Service], lengths: Sequence[float], runs: int) -> Iterator[str]:
    """How often a run is called not stationary: one that is, and ones that slow down midway."""
    alarms = []
    for cell in cells([one for one in services if isinstance(one, Queue)], lengths, runs):
        assert isinstance(cell.service, Queue)
        row = []
        for slower in (1.0, 1.2, 1.5):
            changed = Cell(replace(cell.service, slower=slower), cell.for_s, runs)
            row.append(np.mean([why_not_stationary(one) is not None for one in changed.drawn()]))
        alarms.append(float(row[0]))
        yield f"| {cell} | " + " | ".join(percent(float(share)) for share in row) + " |"
    yield (
        f"= false alarms {percent(float(np.mean(alarms)))} % on average, at most "
        f"{percent(max(alarms))} %, of {len(alarms)} cells"
    )


def cells(services: Sequence[Service], lengths: Sequence[float], runs: int) -> Iterator[Cell]:
    """Every service for every length."""
    for service in services:
        for for_s in lengths:
            yield Cell(service, for_s, runs)


TABLES: dict[str, Callable[[Sequence[Service], Sequence[float], int], Iterator[str]]] = {
    "intervals": intervals,
    "decisions": decisions,
    "power": power,
    "stationary": stationary,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--rates", default="20,200,2000")
    parser.add_argument("--lengths", default="30,60,120")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--cells", action="store_true")
    arguments = parser.parse_args()
    lengths = [float(each) for each in arguments.lengths.split(",")]
    for rate in map(float, arguments.rates.split(",")):
        services: list[Service] = list(grid([rate]))
        if arguments.table == "decisions":
            services += [Modulated(rate, 1.0), Modulated(rate), Modulated(rate, 20.0)]
            services += [Stalling(rate)]
        for line in TABLES[arguments.table](services, lengths, arguments.runs):
            if arguments.cells or not line.startswith("|") or arguments.table == "power":
                print(line, flush=True)


if __name__ == "__main__":
    main()
