"""A plan: all that a run is, given beforehand."""

from dataclasses import dataclass

from tailrace.load.part import WHOLE, Part
from tailrace.load.profile import Profile
from tailrace.load.slo import Slo
from tailrace.load.traffic import Traffic
from tailrace.load.verdict import MIN_DURATION_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a run is, given beforehand.

    `duration_s` None is a run that goes on until it is stopped. `timeout_s` counts from a
    request's intended time.
    `spin` keeps a core busy to be on
    time. `slos` and `min_duration_s` are what the verdict is about.
    `part` is what this run sends of the schedule, which arrivals and profile say as a whole;
    `start_at` when it begins, in seconds since 1970, if not as soon as it can.
    """

    url: str
    traffic: Traffic
    arrivals: str
    profile: Profile
    duration_s: float | None = None
    seed: int = 1
    workers: int = 1
    connections: int = 1024
    timeout_s: float = 10.0
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 10.0
    interval_s: float = 1.0
    spin: bool = False
    slos: tuple[Slo, ...] = ()
    min_duration_s: float = MIN_DURATION_S
    part: Part = WHOLE
    start_at: float | None = None
