"""A plan: all that a run is, given beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.errors import UsageError
from tailrace.load.client.addresses import DEFAULT_REUSE, Reuse
from tailrace.load.client.expect import ANY_2XX, Expect
from tailrace.load.client.traffic import Traffic, weighted_url
from tailrace.load.judge.ending import AbortOn
from tailrace.load.judge.slo import Slo
from tailrace.load.judge.verdict import MIN_DURATION_S
from tailrace.load.schedule.profile import Profile
from tailrace.load.schedule.schedule import WHOLE, Part
from tailrace.units import format_duration

DEFAULT_TIMEOUT_S = 10.0

USUAL_PER_WORKER = 100_000
MOST_PER_WORKER = 300_000
"""Requests a second that no load worker has ever sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a run is, given beforehand.

    `duration_s` None is a run that goes on until it is stopped. `timeout_s` counts from a
    request's intended time; the limits on connecting and on the first byte are the same where they
    are None.
    `spin` keeps a core busy to be on
    time. `slos` and `min_duration_s` are what the verdict is about, `abort_on` ends a run that has
    become hopeless.
    `cap_per_s` is the most that may be sent: where the schedule is denser it is held back.
    `part` is what this run sends of the schedule, which arrivals and profile say as a whole;
    `start_at` when it begins, in seconds since 1970, if not as soon as it can.
    `samples_share` is how many of all requests are handed on one by one.
    """

    url: str
    traffic: Traffic
    arrivals: str
    profile: Profile
    duration_s: float | None = None
    seed: int = 1
    workers: int = 1
    connections: int = 1024
    reuse: Reuse = DEFAULT_REUSE
    timeout_s: float = DEFAULT_TIMEOUT_S
    connect_timeout_s: float | None = None
    first_byte_timeout_s: float | None = None
    expect: Expect = ANY_2XX
    interval_s: float = 1.0
    spin: bool = False
    slos: tuple[Slo, ...] = ()
    abort_on: tuple[AbortOn, ...] = ()
    min_duration_s: float = MIN_DURATION_S
    cap_per_s: float | None = None
    part: Part = WHOLE
    start_at: float | None = None
    samples_share: float = 0.0

    @property
    def urls(self) -> list[str]:
        """Where to send requests, without weights and credentials, as `endpoints` are ordered."""
        return [weighted_url(text)[1] for text in self.url.split()]

    @property
    def beyond_workers(self) -> str | None:
        """What is to be said beforehand where the rate is more than the load workers can send."""
        peak = self.profile.peak_per_s / self.part.parts
        if peak <= MOST_PER_WORKER * self.workers:
            return None
        return (
            f"{peak:,.10g} requests a second are more than {self.workers} load worker"
            f"{'s' * (self.workers > 1)} can send, some {USUAL_PER_WORKER:,} a core: what comes "
            "too late counts as failed; use more --workers on as many cores, or a lower rate"
        )


def choose_timeout_s(given_s: float | None, slos: Sequence[Slo]) -> float:
    """The timeout of a run under these SLOs: `given_s`, or one that is long enough for them all.

    A request that is cut off counts as over every bound: a bound beyond the timeout could only be
    broken, whatever the service did. Unless given, it is twice the largest bound, so that how far
    above it a latency lies is seen, too.

    Raises:
        UsageError: what is given is shorter than a bound.
    """
    largest = max(slos, key=lambda slo: slo.bound_s, default=None)
    if largest is None:
        return DEFAULT_TIMEOUT_S if given_s is None else given_s
    follows_s = max(DEFAULT_TIMEOUT_S, 2 * largest.bound_s)
    if given_s is not None and given_s < largest.bound_s:
        raise UsageError(
            f"the timeout of {format_duration(given_s)} is shorter than the bound of "
            f"{largest.expression}, {format_duration(largest.bound_s)}: give a longer one, or none "
            f"(it is {format_duration(follows_s)} then)"
        )
    return follows_s if given_s is None else given_s
