"""Every setting of a run, declared once.

To add one: a field here, and where it is used. The options of `tailrace load` and `tailrace find`,
the keys of `tailrace.toml`, REST, gRPC, the form of the page, run.json and the report's table
follow from it.
"""

import reprlib
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec

from tailrace.load.client.request import is_json
from tailrace.load.settings import (
    Setting,
    SettingError,
    concerning,
    make,
    setting,
    settings_of,
    shown,
)
from tailrace.units import MAX_SEED

SERVICE = "Service"
LOAD = "Shape of the load"
REQUESTS = "Requests"
JUDGING = "Pass or fail"
CONNECTIONS = "Connections"
ADVANCED = "Advanced"
GROUPS = (SERVICE, LOAD, REQUESTS, JUDGING, CONNECTIONS, ADVANCED)
"""Of settings, in the order in which they are shown."""

_service, _load, _requests, _judging, _connections, _advanced = (
    partial(setting, group=group) for group in GROUPS
)

_YEAR_S = 365 * 86400.0
_LENGTH: dict[str, Any] = {"ge": 1e-3, "le": _YEAR_S}
"""Bounds of a length of time."""

DEFAULT_RATE_PER_S = 100.0
DEFAULT_DURATION_S = 30.0
DEFAULT_TIMEOUT_S = 10.0
DEFAULT_INTERVAL_S = 1.0

_RATE = Setting(name="rate", label="Rate", help="The rate, constant.", kind="rate")
"""Another way to say the profile."""
PROFILE = _load(
    "Profile",
    "The rate over time: 100@30s,500 or 100..1000/60s or "
    "sine(mean=300,amp=200,period=2m) or burst(base=100,peak=1000,every=30s,for=2s).",
    metavar="PROFILE",
    unset="100; a trace's own rate",
    guard="schedule",
)


class LoadConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a person or a program says of a run. Durations are seconds, expressions texts.

    `LoadConfig.of` takes values as people write them. What a configuration names (bodies, traces,
    expressions) is read, and found usable, by `tailrace.load.session.plan.read_plan`.
    """

    url: Annotated[
        str,
        _service(
            "URL",
            "Where to send requests; several share them by weight, as 3:http://HOST/PATH.",
            option="",
            metavar="URL",
            guard="targets",
        ),
    ]
    """Several stand with spaces between them."""
    profile: Annotated[str | None, PROFILE] = None
    arrivals: Annotated[
        str,
        _load(
            "Arrivals",
            "How requests are spaced: poisson, constant, gamma:CV, "
            "mmpp:low=1,high=8,low_for=1000,high_for=100, trace:FILE.",
            metavar="KIND",
            guard="schedule",
        ),
    ] = "poisson"
    duration_s: Annotated[
        float | None,
        _load(
            "Duration",
            "How long to offer load: 30s, 5m, 1h30m, 1d.",
            main=True,
            option="--for",
            key="for",
            unset="until it is stopped",
            **_LENGTH,
        ),
    ] = None
    seed: Annotated[int, _load("Seed", "Same seed, same schedule.", ge=0, le=MAX_SEED)] = 1
    method: Annotated[
        str | None, _requests("Method", "HTTP method; POST with a body, else GET.", metavar="NAME")
    ] = None
    body: Annotated[
        Path | None,
        _requests(
            "Body",
            "A file to send, a directory of them (its pictures, if it has any), or JSON itself; "
            "{{counter}} in it is a request's number.",
            main=True,
            metavar="PATH|JSON",
            guard="file",
        ),
    ] = None
    text: Annotated[
        str | None,
        _requests(
            "Body text",
            "The body itself, instead of a file: any text.",
            option="--data",
            metavar="TEXT",
            secret=True,
            kind="lines",
        ),
    ] = None
    headers: Annotated[
        dict[str, str],
        _requests(
            "Headers",
            "'Name: value', sent with each request; repeatable, and all are sent.",
            option="--header",
            metavar="NAME:VALUE",
            secret=True,
        ),
    ] = {}
    """A value of several lines is as many headers of that name."""
    order: Annotated[
        str,
        _requests(
            "Order", "How the bodies take turns.", choices=("sequential", "random"), quiet=True
        ),
    ] = "sequential"
    expect_status: Annotated[
        str | None,
        _requests(
            "Expected status", "Statuses of a good answer, as 2xx,304.", metavar="LIST", unset="2xx"
        ),
    ] = None
    expect_body: Annotated[
        tuple[str, ...],
        _requests(
            "Expected body",
            "What a good answer's body says: 'body contains TEXT', 'body !contains TEXT', "
            "'json PATH', 'json !PATH', 'json PATH=VALUE'; repeatable.",
            option="--expect",
            metavar="WHAT",
            kind="texts",
        ),
    ] = ()
    expect_size: Annotated[
        str | None,
        _requests(
            "Expected size",
            "Size of a good answer's body: 512, 100.. or 100..2000.",
            metavar="BYTES",
        ),
    ] = None
    slo: Annotated[
        tuple[str, ...],
        _judging(
            "SLOs", "A bound, as p99<100ms; repeatable. Broken: exit 1.", main=True, metavar="BOUND"
        ),
    ] = ()
    min_duration_s: Annotated[
        float | None,
        _judging(
            "Least duration",
            "A shorter run is INVALID; 10m or more asks for MLPerf's answer as --mlperf does.",
            unset="none",
            ge=0,
            le=_YEAR_S,
        ),
    ] = None
    mlperf: Annotated[
        bool,
        _judging(
            "MLPerf's answer",
            "Say whether the run is official by MLPerf's rules: 10 minutes, early stopping.",
            quiet=True,
        ),
    ] = False
    abort_on: Annotated[
        tuple[str, ...],
        _judging(
            "Give up on",
            "Give up once so many requests failed over so long, as failed>50%@10s; "
            "repeatable. Exit 1.",
            metavar="BOUND",
        ),
    ] = ()
    connections: Annotated[
        int, _connections("Connections", "The most connections open at once.", ge=1, le=1_000_000)
    ] = 1024
    reuse: Annotated[
        str,
        _connections(
            "Reuse",
            "Which idle connection a request takes: the one idle for longest to the address whose "
            "turn it is, of all, or the one used last.",
            choices=("spread", "fifo", "lifo"),
            quiet=True,
        ),
    ] = "spread"
    keep_alive: Annotated[
        bool,
        _connections(
            "Keep-alive",
            "Requests share connections.",
            off="Send each request on a connection of its own.",
            option="--no-keepalive",
            quiet=True,
        ),
    ] = True
    timeout_s: Annotated[
        float | None,
        _connections(
            "Timeout",
            "A request unanswered this long after its intended time fails.",
            unset="10s, or twice the largest bound",
            **_LENGTH,
        ),
    ] = None
    connect_timeout_s: Annotated[
        float | None,
        _connections(
            "Connect timeout", "Limit on opening a connection.", unset="the timeout", **_LENGTH
        ),
    ] = None
    first_byte_timeout_s: Annotated[
        float | None,
        _connections(
            "First byte timeout",
            "Limit from sending to the answer's start.",
            unset="the timeout",
            **_LENGTH,
        ),
    ] = None
    unix_socket: Annotated[
        Path | None,
        _connections(
            "Unix socket", "Connect to this Unix socket instead of the URL's host.", guard="socket"
        ),
    ] = None
    connect_to: Annotated[
        str | None,
        _connections(
            "Connect to",
            "Connect there instead of the URL's host; Host and certificate stay the URL's.",
            metavar="HOST:PORT",
            guard="address",
        ),
    ] = None
    verify: Annotated[
        bool,
        _connections(
            "Check the certificate",
            "Of an https:// server.",
            off="Accept any certificate of an https:// server.",
            option="--insecure",
            quiet=True,
        ),
    ] = True
    ca_file: Annotated[
        Path | None,
        _connections(
            "CA file",
            "PEM file of authorities to trust for https://.",
            option="--cacert",
            guard="file",
        ),
    ] = None
    cert_file: Annotated[
        Path | None,
        _connections(
            "Certificate",
            "PEM file of a certificate to show to https:// servers.",
            option="--cert",
            guard="file",
        ),
    ] = None
    key_file: Annotated[
        Path | None,
        _connections(
            "Key",
            "PEM file of its key, without a password.",
            option="--key",
            unset="in the certificate's file",
            guard="file",
        ),
    ] = None
    workers: Annotated[int, _advanced("Load workers", "Load processes.", ge=1, le=256)] = 1
    ray: Annotated[
        str | None,
        _advanced(
            "Ray cluster",
            "Spread the load processes over the nodes of this Ray cluster; auto: the one that "
            "this machine is a node of.",
            metavar="auto|HOST:PORT",
            guard="address",
        ),
    ] = None
    part: Annotated[
        str,
        _advanced(
            "Part of the load",
            "Send this part of the schedule alone, 0/N to N-1/N, as one of N commands that "
            "are alike in all else.",
            metavar="I/N",
            quiet=True,
        ),
    ] = "0/1"
    start_at: Annotated[
        str | None,
        _advanced(
            "Start at",
            "When to begin, as 2026-11-26T22:00:00Z; the same for all parts.",
            metavar="TIME",
            unset="at once",
        ),
    ] = None
    interval_s: Annotated[
        float | None,
        _advanced("Interval", "Length of an interval of results.", unset="1s", **_LENGTH),
    ] = None
    spin: Annotated[
        bool, _advanced("Spin", "Keep a core busy for each worker, to be less late.", quiet=True)
    ] = False

    @classmethod
    def of(
        cls,
        url: str | Sequence[str],
        *,
        rate: float | str | None = None,
        scale: float = 1.0,
        speed: float = 1.0,
        **given: Any,
    ) -> Self:
        """A configuration from values as people write them.

            LoadConfig.of("http://127.0.0.1:5000/gpu", rate=200, duration="30s", slo="p99<100ms")
            LoadConfig.of(["3:http://a/", "http://b/"], profile="100..1000/60s", headers=["A: b"])

        Each of `given` is a field by its name, or by its name without the unit (`timeout` for
        `timeout_s`): a value of the field's type, a number (of seconds, of requests a second) or a
        text such as the command line takes. A `body` may also be JSON itself, and what is None is
        the default. Without a duration the run goes on until it is stopped, unless whoever runs it
        has another (`read_plan`).

        Args:
            url: one, or several that share the requests; each may have a weight before it.
            rate: requests a second, constant; instead of a `profile`.
            scale: with a trace, so many times its requests.
            speed: with a trace, so many times as fast.

        Raises:
            UsageError: a value cannot be used; the message names the setting.
        """
        named = {name.removesuffix("_s"): name for name in settings_of(cls)}
        values = {named.get(name, name): value for name, value in given.items()}
        for name in values:
            if name not in cls.__struct_fields__:
                near = get_close_matches(name, ["rate", "scale", "speed", *named], 1)
                meant = f": did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"a load has no setting {name!r}{meant}")
        if rate is not None:
            if values.get("profile") is not None:
                raise SettingError("both say the rate: give one of them", "rate", "profile")
            _RATE.read(rate)
            values["profile"] = rate
        if scale != 1 or speed != 1:
            # Only here: it takes longer to import than the help to print.
            from tailrace.load.schedule.arrivals import parse_arrivals

            with concerning("arrivals"):
                arrivals = parse_arrivals(values.get("arrivals") or "poisson", scale, speed)
            values["arrivals"] = arrivals.expression
        body = values.get("body")
        if isinstance(body, str) and body.lstrip().startswith(("{", "[")):
            try:
                is_file = Path(body).exists()
            except (OSError, ValueError):
                is_file = False
            if not is_file:
                if not is_json(body):
                    raise SettingError(
                        f"{reprlib.repr(body)} is neither a file nor JSON, nor is it given as text",
                        "body",
                    )
                _require_one(values, "body", "text")
                values["body"], values["text"] = None, body
        try:
            values["url"] = url if isinstance(url, str) else " ".join(url)
        except TypeError:
            raise SettingError(f"expected a string, or several, not {shown(url)}", "url") from None
        return make(cls, values)

    @property
    def urls(self) -> list[str]:
        """Each URL, with its weight if it has one."""
        return self.url.split()

    def check(self) -> None:
        """Accept its settings, apart from what has to be read for that.

        Raises:
            SettingError: one is out of its bounds, or two contradict each other.
        """
        for name, each in settings_of(type(self)).items():
            each.check(getattr(self, name))
        values = msgspec.structs.asdict(self)
        _require_one(values, "body", "text")
        _require_one(values, "unix_socket", "connect_to")
        if self.key_file is not None and self.cert_file is None:
            raise SettingError(
                "needs the certificate that it belongs to", "key_file", is_sentence=True
            )
        if self.connections < self.workers:
            raise SettingError(
                f"{self.connections} are fewer than the {self.workers} load workers", "connections"
            )


def _require_one(values: dict[str, Any], first: str, second: str) -> None:
    if values.get(first) is not None and values.get(second) is not None:
        raise SettingError("both say the same: give one of them", first, second)


def to_path(kind: type[Any], value: object) -> Path:
    """msgspec's `dec_hook` for paths.

    Raises:
        TypeError, ValueError: `value` is none.
    """
    if kind is not Path:
        raise NotImplementedError(f"{kind.__name__} is no type of a setting")
    if not isinstance(value, str):
        raise TypeError("a path is a string")
    if not value or "\0" in value:
        raise ValueError("a path must not be empty, nor hold a zero byte")
    return Path(value)


def of_path(value: object) -> str:
    """msgspec's `enc_hook` for paths."""
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is no type of a setting")
