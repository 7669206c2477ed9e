"""A plan: a configuration, and what was read of all that it names."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from tailrace.cluster import check_address, require_ray
from tailrace.errors import UsageError
from tailrace.load.client.expect import Expect, parse_expect
from tailrace.load.client.request import LAST, Check, read_bodies, text_body
from tailrace.load.client.target import Tls, parse_address, without_credentials
from tailrace.load.client.traffic import Traffic, plan_traffic
from tailrace.load.config import (
    DEFAULT_INTERVAL_S,
    DEFAULT_RATE_PER_S,
    DEFAULT_TIMEOUT_S,
    LoadConfig,
)
from tailrace.load.judge.ending import AbortOn, parse_abort_on
from tailrace.load.judge.slo import Slo, parse_slo
from tailrace.load.judge.verdict import MIN_DURATION_S
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import Profile, constant, parse_profile
from tailrace.load.schedule.schedule import Part, parse_part, parse_start
from tailrace.load.schedule.trace_file import ANY_FILE, Files
from tailrace.load.settings import SettingError, concerning
from tailrace.units import MAX_DURATION_S, format_duration

T = TypeVar("T")

_AHEAD_S = 366 * 86400
"""A start further away is a slip in the date."""

USUAL_PER_WORKER = 100_000
MOST_PER_WORKER = 300_000
"""Requests a second that no load worker has ever sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a run is, given beforehand; `read_plan` makes one.

    `config` says everything that follows from the rest, too: method, profile, timeout, interval;
    and its URLs are without credentials. `cap_per_s` is the most that may be sent: where the
    schedule is denser it is held back. `part` is what this run sends of the schedule, which
    arrivals and profile say as a whole; `start_at` when it begins, in seconds since 1970, if not
    as soon as it can. `samples_share` is how many of all requests are reported one by one.
    """

    config: LoadConfig
    traffic: Traffic
    profile: Profile
    expect: Expect
    slos: tuple[Slo, ...]
    abort_on: tuple[AbortOn, ...]
    part: Part
    start_at: float | None
    cap_per_s: float | None = None
    samples_share: float = 0.0

    @property
    def timeout_s(self) -> float:
        """Counts from a request's intended time."""
        return self.config.timeout_s or DEFAULT_TIMEOUT_S

    @property
    def interval_s(self) -> float:
        """Length of an interval of results."""
        return self.config.interval_s or DEFAULT_INTERVAL_S

    @property
    def asks_mlperf(self) -> bool:
        """Whether somebody wants to know if the run is official by MLPerf's conditions."""
        return self.config.mlperf or (self.config.min_duration_s or 0.0) >= MIN_DURATION_S

    def at(self, profile: Profile) -> "Plan":
        """The same, of another profile."""
        config = msgspec.structs.replace(self.config, profile=profile.expression)
        return replace(self, config=config, profile=profile)

    def check_start(self) -> None:
        """Look whether it may begin now.

        Raises:
            UsageError: its start has passed, or is more than a year ahead; or it is for a Ray
                cluster, and Ray is not installed.
        """
        if self.config.ray is not None:
            require_ray()
        ahead_s = self.start_at - time.time() if self.start_at is not None else 0.0
        if ahead_s < 0:
            raise SettingError(f"{self.config.start_at} was {-ahead_s:.0f} s ago", "start_at")
        if ahead_s > _AHEAD_S:
            raise SettingError(f"{self.config.start_at} is more than a year ahead", "start_at")

    @property
    def beyond_workers(self) -> str | None:
        """What is to be said beforehand where the rate is more than the load workers can send."""
        peak, workers = self.profile.peak_per_s / self.part.parts, self.config.workers
        if peak <= MOST_PER_WORKER * workers:
            return None
        return (
            f"{peak:,.10g} requests a second are more than {workers} load worker"
            f"{'s' * (workers > 1)} can send, some {USUAL_PER_WORKER:,} a core: what comes "
            "too late counts as failed; use more --workers on as many cores, or a lower rate"
        )


def read_plan(
    config: LoadConfig,
    *,
    duration_s: float | None = None,
    interval_s: float = DEFAULT_INTERVAL_S,
    files: Files = ANY_FILE,
    check_file: Check | None = None,
    note: Callable[[str], None] | None = None,
) -> Plan:
    """Read what `config` names: bodies, traces, expressions.

    Args:
        duration_s: how long a run lasts whose configuration does not say, unless a trace does;
            None: until it is stopped.
        interval_s: of a configuration that says none.
        files: which ones arrivals and profile may name.
        check_file: raises where a file may not be sent.
        note: told which files of a directory are left out.

    Raises:
        UsageError: a setting cannot be used; the message names it.
        Whatever `files` and `check_file` raise.
    """
    config.check()
    if config.ray is not None:
        _of("ray", check_address, config.ray)
    arrivals = _of("arrivals", partial(parse_arrivals, files=files), config.arrivals)
    if config.profile is not None:
        profile = _of("profile", partial(parse_profile, files=files), config.profile)
    else:
        profile = constant(arrivals.natural_rate_per_s or DEFAULT_RATE_PER_S)
    lasts_s = config.duration_s
    if lasts_s is None and duration_s is not None:
        natural_s = arrivals.natural_duration_s if config.profile is None else None
        lasts_s = natural_s or duration_s
        if lasts_s > MAX_DURATION_S:
            raise UsageError(
                f"{config.arrivals} lasts {lasts_s:.3g} s so slowed: give its duration"
            )
    slos = tuple(_of("slo", parse_slo, text) for text in config.slo)
    traffic = _read_traffic(config, check_file, note)
    # Of this type, whatever more a configuration says: load workers know no other.
    said = {name: getattr(config, name) for name in LoadConfig.__struct_fields__}
    known = {
        "url": without_credentials(config.url),
        "method": _method_of(traffic),
        "profile": profile.expression,
        "duration_s": lasts_s,
        "timeout_s": choose_timeout_s(config.timeout_s, slos),
        "interval_s": config.interval_s or interval_s,
        "keep_alive": not traffic.requests[0].manner & LAST,
    }
    return Plan(
        config=LoadConfig(**(said | known)),
        traffic=traffic,
        profile=profile,
        expect=_read_expect(config),
        slos=slos,
        abort_on=tuple(_of("abort_on", parse_abort_on, text) for text in config.abort_on),
        part=_of("part", parse_part, config.part),
        start_at=_of("start_at", parse_start, config.start_at) if config.start_at else None,
    )


def choose_timeout_s(given_s: float | None, slos: Sequence[Slo]) -> float:
    """The timeout of a run under these SLOs: `given_s`, or one that is long enough for them all.

    A request that is cut off counts as over every bound: a bound beyond the timeout could only be
    broken, whatever the service did. Unless given, it is twice the largest bound, so that how far
    above it a latency lies is seen, too.

    Raises:
        SettingError: what is given is shorter than a bound.
    """
    bounded = [slo for slo in slos if not slo.is_on_failures]
    largest = max(bounded, key=lambda slo: slo.bound_s, default=None)
    if largest is None:
        return DEFAULT_TIMEOUT_S if given_s is None else given_s
    follows_s = max(DEFAULT_TIMEOUT_S, 2 * largest.bound_s)
    if given_s is not None and given_s < largest.bound_s:
        raise SettingError(
            f"{format_duration(given_s)} is shorter than the bound of {largest.expression}, "
            f"{format_duration(largest.bound_s)}: give a longer one, or none (it is "
            f"{format_duration(follows_s)} then)",
            "timeout_s",
        )
    return follows_s if given_s is None else given_s


def _read_traffic(
    config: LoadConfig, check_file: Check | None, note: Callable[[str], None] | None
) -> Traffic:
    if config.text is not None:
        bodies = [text_body(config.text)]
    else:
        with concerning("body"):
            bodies = read_bodies(config.body, check_file, note) if config.body is not None else []
    return plan_traffic(
        config.urls,
        method=config.method,
        headers=[
            (name, line) for name, lines in config.headers.items() for line in lines.split("\n")
        ],
        bodies=bodies,
        order=config.order,
        unix_socket=config.unix_socket,
        connect_to=_of("connect_to", parse_address, config.connect_to)
        if config.connect_to
        else None,
        tls=Tls(
            config.verify, *(_present(config, f"{name}_file") for name in ("ca", "cert", "key"))
        ),
        keep_alive=config.keep_alive,
    )


def _read_expect(config: LoadConfig) -> Expect:
    status, size, body = config.expect_status, config.expect_size, config.expect_body
    # Each by itself, so that an error names the one at fault.
    with concerning("expect_status"):
        parse_expect(status, None, ())
    with concerning("expect_size"):
        parse_expect(None, size, ())
    with concerning("expect_body"):
        return parse_expect(status, size, body)


def _method_of(traffic: Traffic) -> str:
    return traffic.requests[0].head.split(b" ", 1)[0].decode("latin-1")


def _present(config: LoadConfig, name: str) -> Path | None:
    file: Path | None = getattr(config, name)
    if file is not None and not file.is_file():
        raise SettingError(f"there is no file {file}", name)
    return file


def _of(name: str, parse: Callable[[str], T], text: str) -> T:
    with concerning(name):
        return parse(text)
