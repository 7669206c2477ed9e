"""The control room's configuration file, `tailrace.toml`.

    [room]                     # this control room: where it answers, what it may do
    port = 8080

    [[service]]                # one for each service
    id = "triton"
    url = "http://10.0.0.5:8000/v2/models/ssd/infer"
    slo = "p99<100ms"

The keys are the settings of a RoomConfig and of a ServiceConfig, and `start`; a duration is a
string with its unit or a number of seconds, a rate a string or a number, and a relative path starts
at the file's folder.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec

from tailrace.control.config import ServiceConfig
from tailrace.control.limits import Limits
from tailrace.errors import UsageError
from tailrace.load.client.target import parse_target
from tailrace.load.measure.point import WINDOW
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import parse_profile
from tailrace.load.schedule.trace_file import Files
from tailrace.load.session.plan import read_plan
from tailrace.load.settings import Setting, SettingError, make, setting, settings_of, shown
from tailrace.net import Certificate
from tailrace.runs.directory import RUNS_DIR
from tailrace.units import MAX_RATE_PER_S
from tailrace.untrusted import UnreadableError, open_file

_MAX_BYTES = 1 << 20
CONFIG_FILE = Path("tailrace.toml")
"""What is read from the current folder where no other file is named."""


class RoomConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a control room is told at its start: the settings of the table `[room]`, and services.

    Raises:
        UsageError: an entry of `allow` or the cap cannot be used, or TLS lacks one of its files.
    """

    host: Annotated[str, setting("Address", "To answer on.")] = "127.0.0.1"
    port: Annotated[int, setting("Port", "Of page and REST; 0: any.", ge=0, le=65535)] = 8080
    rpc_port: Annotated[
        int | None, setting("gRPC port", "0: any; false: no gRPC.", ge=0, le=65535)
    ] = 2222
    window: Annotated[int, setting("Window", "Intervals taken together.", ge=1, le=3600)] = WINDOW
    interval_s: Annotated[float, setting("Interval", "Its length.", ge=0.1, le=3600.0)] = 1.0
    runs: Annotated[Path, setting("Runs", "Where runs are kept.")] = RUNS_DIR
    allow: Annotated[tuple[str, ...] | None, setting("Allow", "Where load may go.")] = None
    max_rate_per_s: Annotated[
        float | None,
        setting(
            "Cap", "On a service's rate.", key="max_rate", kind="rate", gt=0, le=MAX_RATE_PER_S
        ),
    ] = None
    bodies: Annotated[Path | None, setting("Bodies", "Files that may be sent.")] = None
    tls_cert: Annotated[Path | None, setting("Certificate", "PEM file.", guard="file")] = None
    tls_key: Annotated[Path | None, setting("Key", "PEM file.", guard="file")] = None
    services: tuple[ServiceConfig, ...] = ()
    start: tuple[str, ...] = ()
    """Ids of the services that are put under load at once."""

    def __post_init__(self) -> None:
        if not self.host:
            raise SettingError("expected an address, not an empty string", "host")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("TLS needs both, tls_cert and tls_key")
        # Refuses what it cannot use.
        _ = self.limits

    @property
    def limits(self) -> Limits:
        """What its services may do."""
        return Limits(self.allow, self.max_rate_per_s, self.bodies)

    @property
    def tls(self) -> Certificate | None:
        """With what all faces answer over TLS."""
        return Certificate(self.tls_cert, self.tls_key) if self.tls_cert and self.tls_key else None


def read_config(path: Path) -> RoomConfig:
    """The configuration in the TOML file `path`.

    Raises:
        UsageError: the file cannot be read or used; the message says where: by line if it is no
            TOML, else by the way to the setting.
    """
    document = _parse(_read(path), path)
    try:
        return _room(document, path.parent)
    except UsageError as error:
        raise UsageError(f"{path}: {' '.join(str(error).split())}") from None


def _read(path: Path) -> str:
    try:
        with open_file(path.resolve(), _MAX_BYTES) as file:
            return file.read(_MAX_BYTES).decode().replace("\r\n", "\n")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnreadableError as error:
        raise UsageError(str(error)) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: byte {error.start + 1} is none") from None


_SYNTAX = re.compile(r"(.*) \(at (line \d+, column \d+|end of document)\)", re.DOTALL)


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path} is not TOML: brackets in brackets without end") from None
    # A number with thousands of digits is a plain ValueError.
    except ValueError as error:
        match = _SYNTAX.fullmatch(str(error))
        reason, where = match.groups() if match is not None else (str(error), "one of its numbers")
        if where == "end of document":
            where = f"line {len(text.splitlines())}, the last one"
        raise UsageError(f"{path}, {where}: {' '.join(reason.split())}") from None


_MEANT = {
    "rate": "profile",
    "duration": "for",
    "serverIp": "host",
    "rmiPort": "rpc_port",
    "windowSize": "window",
    "recordInterval": "interval",
    "imageClassifyBaseURL": "url",
}
"""What is written by mistake, or was so in the original's sys.properties, and the key meant."""


def _room(document: Mapping[str, Any], base: Path) -> RoomConfig:
    _check_keys(document, ("room", "service"))
    table = document.get("room", {})
    if not isinstance(table, dict):
        raise UsageError("room is a table: write [room] above its keys")
    tables = document.get("service", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise UsageError("service is a list: write [[service]] above each one's keys")
    start_all = _started(table, "room", default=False)
    with _placed_errors(RoomConfig, "room"):
        room = make(RoomConfig, {"runs": base / RUNS_DIR, **_values(RoomConfig, table, base)})
    if table.get("rpc_port") is False:
        room = msgspec.structs.replace(room, rpc_port=None)
    services: dict[str, ServiceConfig] = {}
    start = []
    for number, each in enumerate(tables):
        place = f"service[{number}]"
        started = _started(each, place, default=start_all)
        config = _service(each, place, base)
        if config.id in services:
            raise UsageError(f"{place}.id: a second service has the id {config.id!r}")
        services[config.id] = config
        if started:
            start.append(config.id)
    return msgspec.structs.replace(room, services=tuple(services.values()), start=tuple(start))


def _started(table: dict[str, Any], place: str, *, default: bool) -> bool:
    started = table.pop("start", default)
    if not isinstance(started, bool):
        raise UsageError(f"{place}.start: expected true or false, not {shown(started)}")
    return started


def _service(table: Mapping[str, Any], place: str, base: Path) -> ServiceConfig:
    with _placed_errors(ServiceConfig, place):
        config = make(ServiceConfig, _values(ServiceConfig, table, base))
        for url in filter(None, (*config.urls, config.metrics_url)):
            parse_target(url)
        config.check()
        # The body is the controller's to read: it may be large.
        read_plan(_without_body(config))
    return config


@contextmanager
def _placed_errors(struct: type[msgspec.Struct], place: str) -> Iterator[None]:
    """Name settings in errors by their keys in the table at `place`."""
    try:
        yield
    except SettingError as error:
        keys = {each.name: each.key for each in settings_of(struct).values()}
        raise UsageError(f"{place}.{error.worded(keys.__getitem__)}") from None
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


def _without_body(config: ServiceConfig) -> ServiceConfig:
    if config.body is None:
        return config
    # A length of one's own can only be held against the body.
    headers = {k: v for k, v in config.headers.items() if k.lower() != "content-length"}
    return msgspec.structs.replace(config, body=None, headers=headers)


def _values(struct: type[msgspec.Struct], table: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """The fields of `table` by name; what names a file has it from the folder `base` on."""
    settings = {each.key: each for each in settings_of(struct).values()}
    _check_keys(table, (*settings, "start"))
    return {
        settings[key].name: _value(settings[key], value, base)
        for key, value in table.items()
        if not (key == "rpc_port" and value is False)
    }


def _value(setting: Setting, given: object, base: Path) -> Any:
    value: Any = setting.read(given)
    try:
        if isinstance(value, Path):
            value = base / value
            if setting.guard == "file":
                value.stat()
        elif setting.guard == "schedule":
            files = _Found(base)
            if setting.name == "profile":
                expression = parse_profile(value, files).expression
            else:
                expression = parse_arrivals(value, files=files).expression
            # As it was written, if it names no file.
            value = expression if files.any else value
    except OSError as error:
        raise SettingError(f"cannot read {value}: {error.strerror}", setting.name) from None
    except UsageError as error:
        raise SettingError(str(error), setting.name) from None
    return value


class _Found(Files):
    """Files from a folder on, which notes whether any was asked for."""

    any = False

    def find(self, name: str) -> tuple[str, str]:
        """See Files."""
        self.any = True
        return super().find(name)


def _check_keys(table: Mapping[str, Any], known: Collection[str]) -> None:
    for key in table:
        if key not in known:
            meant = _MEANT.get(key)
            near = [meant] if meant in known else difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UsageError(f"unknown key {key!r}: {hint}")
