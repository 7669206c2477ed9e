"""Truth: against servers of known behaviour, what the generator measures is what happened.

Every run is held to two references. *Log*: the server noted when it wrote each answer; from the
intended time of that very request to this write is the least that its latency can be. *Theory*: the
latency that follows from the schedule and the server's behaviour alone, whatever the processes did.
Mean, p50 and p99 agree with both within 3 % + 200 µs, and every request is accounted for
(docs/truth.md). `--log-cli-level=INFO` shows the deviations.
"""

import asyncio
import logging
import math
import statistics
import sys
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tailrace.load.client.request import Body
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.measurement import Measurement
from tailrace.load.measure.point import Interval
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import parse_profile
from tailrace.load.schedule.schedule import Schedule
from tailrace.load.session.session import Session
from tests.kit import queue_server
from tests.kit.waiting import TIMEOUT_S

pytestmark = pytest.mark.alone("holds latencies against theory's")

Times = NDArray[np.int64]
"""Instants or durations in ns, int64 [n]."""
Figures = dict[str, float]
"""Mean, p50 and p99 in µs."""

_LOG = logging.getLogger(__name__)


def depart(arrivals: Times, service: Times) -> Times:
    """Departures from one server that takes requests in order: Lindley's recursion
    Dₖ = max(Aₖ, Dₖ₋₁) + Sₖ, to the nanosecond.
    """
    done = np.cumsum(service)
    return done + np.maximum.accumulate(arrivals - (done - service))


def figures(latencies: Times) -> Figures:
    """With percentiles as the ⌈p·n/100⌉-th smallest, like the histogram's."""
    p50, p99 = np.percentile(latencies, [50, 99], method="inverted_cdf") / 1e3
    return {"mean": float(latencies.mean()) / 1e3, "p50": float(p50), "p99": float(p99)}


def measured_figures(histogram: Histogram) -> Figures:
    p50, p99 = histogram.percentile_us(50, 99)
    return {"mean": histogram.sum_ns / histogram.total / 1e3, "p50": p50, "p99": p99}


@dataclass(frozen=True, slots=True)
class Load:
    """What is offered; the schedule that follows from it."""

    rate_per_s: float
    duration_s: float
    arrivals: str = "poisson"
    seed: int = 1
    workers: int = 1
    connections: int = 1024

    @property
    def intended_ns(self) -> Times:
        """Intended times since the run's start."""
        profile = parse_profile(f"{self.rate_per_s:g}")
        schedule = Schedule(parse_arrivals(self.arrivals), profile, self.seed)
        times = np.concatenate([schedule.next_piece() for _ in range(16)])
        assert times[-1] > self.duration_s * 1e9
        return times[times < self.duration_s * 1e9]


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """A run that is over. `intended_ns` and the server's log are in order of intended times, on
    the clock of both processes; `theory_ns` are the latencies that should have been, those of the
    answered requests alone.
    """

    total: Measurement
    intervals: list[Interval]
    intended_ns: Times
    arrived_ns: Times
    due_ns: Times
    written_ns: Times
    fate: Times
    place: Times
    """Which in order of arrival at the server it was, from 0."""
    theory_ns: Times

    @property
    def answered(self) -> NDArray[np.bool_]:
        answered: NDArray[np.bool_] = self.fate == queue_server.ANSWERED
        return answered

    @property
    def server_late_us(self) -> float:
        """p99 of how late the server itself was; of answers due at one instant, with the first."""
        order = np.lexsort((self.written_ns, self.due_ns))
        first = order[np.diff(self.due_ns[order], prepend=0) > 0]
        late = (self.written_ns - self.due_ns)[first]
        return float(np.percentile(late, 99, method="inverted_cdf")) / 1e3

    @property
    def references(self) -> dict[str, Figures]:
        return {
            "log": figures((self.written_ns - self.intended_ns)[self.answered]),
            "theory": figures(self.theory_ns),
        }


def deviations(runs: list[Run]) -> dict[str, tuple[float, float]]:
    """(deviation, what it may be) in µs, of each figure from each reference: the median over runs
    of one schedule, for this machine may hold up one of them.
    """
    found = {}
    for source in ("log", "theory"):
        for name in ("mean", "p50", "p99"):
            pairs = [
                (measured_figures(r.total.latency)[name], r.references[source][name]) for r in runs
            ]
            off = statistics.median(value - reference for value, reference in pairs)
            allowed = 0.03 * statistics.median(reference for _, reference in pairs) + 200
            found[f"{name} vs {source}"] = (off, allowed)
    return found


def faults(runs: list[Run]) -> list[str]:
    return [
        f"{what}: {off:+.0f} µs, allowed {allowed:.0f} µs"
        for what, (off, allowed) in deviations(runs).items()
        if abs(off) > allowed
    ]


Theory = Callable[[Times, int], Times]
"""(intended times since the run's start, first arrival at the server on the same clock) → latencies
that should be, of the requests that are answered."""
Measure = Callable[..., Awaitable[list[Run]]]


@pytest.fixture
def measure(offer: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Measure:
    """Offers `load` to a server of `behaviour` in so many rounds, and checks the figures against
    log and `theory`.

    All once more if they are off: what else the machine did may have fallen on one measurement,
    while a generator that is wrong is wrong twice. The message says how late the server itself was.
    """
    name = request.node.name

    async def once(load: Load, behaviour: Any, theory: Theory) -> Run:
        given, log = tmp_path / "behaviour.npz", tmp_path / "log.npy"
        np.savez(given, **asdict(behaviour))
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, queue_server.__file__, str(given), str(log)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            port = int(await server.stdout.readline())
            session, intervals = await offer(
                f"http://127.0.0.1:{port}/",
                profile=f"{load.rate_per_s:g}",
                bodies=[Body(b"{{counter}}", "text/plain")],
                **{field: value for field, value in asdict(load).items() if field != "rate_per_s"},
            )
        finally:
            server.stdin.close()
            await asyncio.wait_for(server.wait(), TIMEOUT_S)
        assert server.returncode == 0
        run = reconstruct(session, intervals, np.load(log), load, theory)
        check_nothing_is_too_fast(run)
        return run

    async def some(rounds: int, load: Load, behaviour: Any, theory: Theory) -> list[Run]:
        runs = [await once(load, behaviour, theory) for _ in range(rounds)]
        for what, (off, allowed) in deviations(runs).items():
            reference = runs[0].references[what.split()[-1]][what.split()[0]]
            _LOG.info("%s %s: %.0f %+.0f µs, allowed %.0f", name, what, reference, off, allowed)
        for run in runs:
            lag = run.total.send_lag.percentile_us(50, 99, 100)
            _LOG.info("%s send lag p50 %.0f p99 %.0f max %.0f µs", name, *lag)
            _LOG.info("%s server late p99 %.0f µs", name, run.server_late_us)
        return runs

    def late(runs: list[Run]) -> str:
        late_us = max(run.server_late_us for run in runs)
        return f"the server itself was late by {late_us:.0f} µs at p99"

    async def twice_at_most(
        load: Load, behaviour: Any, theory: Theory, rounds: int = 3
    ) -> list[Run]:
        runs = await some(rounds, load, behaviour, theory)
        if off := faults(runs):
            warnings.warn(f"{name} measured again: {'; '.join([*off, late(runs)])}", stacklevel=2)
            runs = await some(rounds, load, behaviour, theory)
        if off := faults(runs):
            pytest.fail("; ".join([*off, late(runs)]), pytrace=False)
        return runs

    return twice_at_most


def check_nothing_is_too_fast(run: Run) -> None:
    """No answer is there before it was written: each figure lies above the log's, but for half a
    bucket of the histogram.
    """
    found = measured_figures(run.total.latency)
    for name, least in run.references["log"].items():
        assert found[name] >= 0.9995 * least - 1


def reconstruct(
    session: Session, intervals: list[Interval], log: Times, load: Load, theory: Theory
) -> Run:
    """Put schedule, log and session together; every request must be in all of them."""
    scheduled = load.intended_ns
    place = np.argsort(log[:, 0])
    number, arrived, due, written, fate = log[place].T
    assert np.array_equal(number, np.arange(len(scheduled)))
    start_ns = monotonic_ns() - round(session.elapsed_s * 1e9)
    intended = start_ns + scheduled
    assert np.all(arrived >= intended)
    assert np.all(written >= due)
    total = session.total
    assert total.offered == total.sent == len(scheduled)
    assert total.completed == np.sum(fate == queue_server.ANSWERED)
    failures = int(np.sum(fate != queue_server.ANSWERED))
    assert total.failed == ({"reset": failures} if failures else {})
    should_be = theory(scheduled, int(log[0, 1]) - start_ns)
    return Run(total, intervals, intended, arrived, due, written, fate, place, should_be)


def fixed(service_ns: int, count: int, **settings: Any) -> Any:
    """Every request is answered after the same time."""
    return queue_server.Behaviour(
        np.full(count, service_ns), np.full(count, queue_server.ANSWERED, np.int8), **settings
    )


def queue_behaviour(service_ns: Times) -> Any:
    """One request at a time, in order, with these service times."""
    fate = np.full(len(service_ns), queue_server.ANSWERED, np.int8)
    return queue_server.Behaviour(service_ns, fate, one_at_a_time=True)


def check_queue(runs: list[Run], service_ns: Times) -> None:
    """The server itself kept to Lindley's recursion, to the nanosecond, on what really arrived."""
    for run in runs:
        order = np.argsort(run.place)
        assert np.array_equal(run.due_ns[order], depart(run.arrived_ns[order], service_ns))


def exponential(mean_s: float, count: int, seed: int) -> Times:
    draw = np.random.Generator(np.random.PCG64([seed, 1]))
    return np.rint(draw.exponential(mean_s * 1e9, count)).astype(np.int64)


@pytest.mark.parametrize(("service_ms", "arrivals"), [(20, "poisson"), (50, "constant")])
async def test_a_fixed_service_time(measure: Measure, service_ms: int, arrivals: str) -> None:
    """With as many servers as requests, each latency is the service time: nothing is added by
    connections that are opened, requests that overlap, or arrivals that bunch.
    """
    load = Load(300, 2, arrivals)
    count = len(load.intended_ns)
    service_ns = service_ms * 1_000_000
    await measure(load, fixed(service_ns, count), lambda _, __: np.full(count, service_ns))


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_md1_queue(measure: Measure, workers: int) -> None:
    """M/D/1 at utilisation 0.72: the latency that Lindley's recursion gives on this schedule, with
    the requests offered by one worker process or by two.
    """
    load = Load(120, 3, workers=workers)
    service = np.full(len(load.intended_ns), 6_000_000)
    runs = await measure(load, queue_behaviour(service), lambda t, _: depart(t, service) - t)
    check_queue(runs, service)


def mm1(arrival_rate_per_s: float, service_rate_per_s: float) -> Figures:
    """Sojourn time in M/M/1, Exp(μ − λ) (Kleinrock, Queueing Systems I, 1975, 3.2), in µs."""
    mean_us = 1e6 / (service_rate_per_s - arrival_rate_per_s)
    return {"mean": mean_us, "p50": mean_us * math.log(2), "p99": mean_us * math.log(100)}


def md1_mean_us(arrival_rate_per_s: float, service_s: float) -> float:
    """Mean sojourn time in M/D/1, by Pollaczek and Khinchine: S + λS² / 2(1 − λS)."""
    load = arrival_rate_per_s * service_s
    return 1e6 * (service_s + load * service_s / (2 * (1 - load)))


def test_the_recursion_is_the_theory() -> None:
    """Over a million arrivals of our schedule, what the runs are held to has the closed forms: so
    arrivals are Poisson all the way to a queue's tail, and the recursion is right.
    """
    profile = parse_profile("200")
    schedule = Schedule(parse_arrivals("poisson"), profile, seed=1)
    intended = np.concatenate([schedule.next_piece() for _ in range(2000)])
    random = exponential(1 / 280, len(intended), seed=1)
    found = figures(depart(intended, random) - intended)
    assert found == pytest.approx(mm1(200, 280), rel=0.03)
    same = np.full(len(intended), 3_600_000)
    assert figures(depart(intended, same) - intended)["mean"] == pytest.approx(
        md1_mean_us(200, 3.6e-3), rel=0.01
    )


async def test_an_mm1_queue(measure: Measure) -> None:
    """M/M/1 at λ = 200/s, μ = 280/s: Lindley's recursion on this schedule with the service times
    drawn. That the recursion has the closed form takes a million arrivals to see, not four seconds.
    """
    load = Load(200, 4)
    service = exponential(1 / 280, len(load.intended_ns), seed=1)
    runs = await measure(load, queue_behaviour(service), lambda t, _: depart(t, service) - t)
    check_queue(runs, service)


@pytest.mark.parametrize("connections", [1024, 8])
async def test_a_stall(measure: Measure, connections: int) -> None:
    """A server that does nothing at all for 1 s: each request of that second has waited from its
    intended time on. With few connections most of them could not even be sent before its end.
    """
    load = Load(150, 6, connections=connections)
    service_ns, stall_at_ns, stall_ns = 10_000_000, 3_000_000_000, 1_000_000_000
    behaviour = fixed(service_ns, len(load.intended_ns), stall_at_ns=stall_at_ns, stall_ns=stall_ns)

    def theory(intended: Times, first_arrival: int) -> Times:
        begins = first_arrival + stall_at_ns
        due: list[int] = []
        for place, at in enumerate(intended.tolist()):
            # Each takes the place of the one that was sent so many before it.
            sent = max(at, due[place - connections]) if place >= connections else at
            done = sent + service_ns
            due.append(begins + stall_ns if begins <= done < begins + stall_ns else done)
        return np.array(due) - intended

    (run,) = await measure(load, behaviour, theory, rounds=1)
    assert np.sum(run.theory_ns > 0.5e9) > 50


async def test_a_slow_start(measure: Measure) -> None:
    """A queue whose service time falls from 20 ms to 6 ms over the first 2 s, at 100 requests/s:
    overloaded at first, then catching up. The early backlog is in the latency of all behind it.
    """
    load = Load(100, 7)
    warm = np.minimum(load.intended_ns / 2e9, 1)
    service = np.rint((20 - 14 * warm) * 1e6).astype(np.int64)
    (run,) = runs = await measure(
        load, queue_behaviour(service), lambda t, _: depart(t, service) - t, rounds=1
    )
    check_queue(runs, service)
    assert run.theory_ns.max() > 0.4e9
    assert np.median(run.theory_ns[load.intended_ns > 5e9]) < 0.02e9


async def test_a_lossy_server(measure: Measure) -> None:
    """One connection in seven, drawn by chance, is closed or reset instead of an answer: exactly
    these are failures, and the latency of the others is as if nothing were lost.
    """
    load = Load(300, 2)
    count = len(load.intended_ns)
    behaviour = fixed(50_000_000, count)
    draw = np.random.Generator(np.random.PCG64(7))
    lost = draw.choice(count, count // 7, replace=False)
    behaviour.fate[lost] = draw.choice([queue_server.CLOSED, queue_server.RESET], len(lost))
    answered = count - len(lost)
    runs = await measure(load, behaviour, lambda _, __: np.full(answered, 50_000_000))
    for run in runs:
        assert run.total.failed == {"reset": len(lost)}
        assert run.total.latency.total == answered


async def test_intervals_add_up_to_the_total(measure: Measure) -> None:
    """Counts of the intervals sum to the run's, and their histograms merge to the run's, bucket by
    bucket: with two workers, failures, and answers that come after the last interval's end.
    """
    load = Load(300, 2.2, workers=2)
    count = len(load.intended_ns)
    behaviour = fixed(80_000_000, count)
    behaviour.fate[::11] = queue_server.CLOSED
    answered = int(np.sum(behaviour.fate == queue_server.ANSWERED))
    (run,) = await measure(load, behaviour, lambda _, __: np.full(answered, 80_000_000), rounds=1)
    total, points = run.total, [interval.point for interval in run.intervals]
    assert [point.index for point in points] == list(range(len(points)))
    assert len(points) > 3
    for name in ("offered", "sent", "completed", "cap_waits"):
        assert sum(getattr(point, name) for point in points) == getattr(total, name)
    resets = [point.failed.get("reset", 0) for point in points]
    assert sum(resets) == total.failures == count - answered
    for name in ("latency", "service", "send_lag"):
        merged = Histogram.merged(interval.measured.of(name) for interval in run.intervals)
        whole = total.of(name)
        assert np.array_equal(merged.buckets, whole.buckets)
        assert np.array_equal(merged.counts, whole.counts)
        assert merged.total == whole.total == merged.counts.sum()
        assert (merged.sum_ns, merged.max_ns) == (whole.sum_ns, whole.max_ns)
