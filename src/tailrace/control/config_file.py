"""The control room's configuration file, `tailrace.toml`.

    [room]                     # this control room: where it answers, what it may do
    port = 8080

    [[service]]                # one for each service
    id = "triton"
    url = "http://10.0.0.5:8000/v2/models/ssd/infer"
    slo = "p99<100ms"

The keys are those of RoomConfig and ServiceConfig; a duration is a string with its unit or a
number of seconds, a rate a string or a number, and a relative path starts at the file's folder.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tailrace.control.certificate import Certificate
from tailrace.control.config import ServiceConfig
from tailrace.control.config_values import (
    ValueReader,
    read_aborts,
    read_arrivals,
    read_bool,
    read_count,
    read_duration_s,
    read_headers,
    read_path,
    read_port,
    read_present,
    read_profile,
    read_rate,
    read_slos,
    read_text,
    read_texts,
    read_url,
)
from tailrace.control.limits import Limits
from tailrace.control.service import prepare
from tailrace.control.toml_lines import line_of
from tailrace.errors import UsageError
from tailrace.load.measure.point import WINDOW
from tailrace.runs.directory import RUNS_DIR
from tailrace.units import MAX_SEED
from tailrace.untrusted import UnreadableError, open_file

_MAX_BYTES = 1 << 20
CONFIG_FILE = Path("tailrace.toml")
"""What is read from the current folder where no other file is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomConfig:
    """What a control room is told at its start."""

    host: str = "127.0.0.1"
    port: int = 8080
    """Of the page and of REST; 0 picks a free one."""
    rpc_port: int | None = 2222
    """Of gRPC; 0 picks a free one, None is no gRPC."""
    window: int = WINDOW
    """Intervals that are taken together."""
    interval_s: float = 1.0
    runs: Path = RUNS_DIR
    limits: Limits = field(default_factory=Limits)
    tls: Certificate | None = None
    services: tuple[ServiceConfig, ...] = ()
    start: tuple[str, ...] = ()
    """Ids of the services that are put under load at once."""


def read_config(path: Path) -> RoomConfig:
    """The configuration in the TOML file `path`.

    Raises:
        UsageError: the file cannot be read or used; the message says where, down to the line.
    """
    text = _read(path)
    try:
        return _room(_parse(text, path), path.parent)
    except _PlacedError as error:
        line = line_of(text, error.keys)
        raise UsageError(f"{path}, line {line}: {' '.join(str(error).split())}") from None


_Keys = tuple[str | int, ...]
"""The way to a value: names of tables, numbers into arrays."""


class _PlacedError(UsageError):
    """An error that knows where in the document it lies."""

    def __init__(self, keys: _Keys, reason: str) -> None:
        super().__init__(reason)
        self.keys = keys


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


_ROOM: dict[str, ValueReader] = {
    "host": read_text,
    "port": read_port,
    "rpc_port": lambda value, base: None if value is False else read_port(value, base),
    "window": read_count(1, 3600),
    "interval": read_duration_s(0.1),
    "runs": read_path,
    "allow": read_texts,
    "max_rate": read_rate,
    "bodies": read_path,
    "tls_cert": read_present,
    "tls_key": read_present,
    "start": read_bool,
}
_SERVICE: dict[str, ValueReader] = {
    "id": read_text,
    "url": read_url,
    "name": read_text,
    "method": read_text,
    "headers": read_headers,
    "body": read_present,
    "text": read_text,
    "arrivals": read_arrivals,
    "profile": read_profile,
    "for": read_duration_s(1e-3),
    "slo": read_slos,
    "abort_on": read_aborts,
    "seed": read_count(0, MAX_SEED),
    "workers": read_count(1, 256),
    "ray": read_text,
    "connections": read_count(1, 1_000_000),
    "reuse": read_text,
    "timeout": read_duration_s(1e-3),
    "min_duration": read_duration_s(0.0),
    "verify": read_bool,
    "ca_file": read_present,
    "metrics_url": lambda value, base: read_url(value, base) if value != "" else "",
    "start": read_bool,
}
_FIELDS = {
    "for": "duration_s",
    "timeout": "timeout_s",
    "min_duration": "min_duration_s",
    "interval": "interval_s",
}
"""Keys whose fields are called otherwise: a field has its unit in its name, a value in the file."""
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
    _check_keys(document, ("room", "service"), ())
    room = document.get("room", {})
    if not isinstance(room, dict):
        raise _PlacedError(("room",), "room is a table: write [room] above its keys")
    given = _values(room, _ROOM, ("room",), base)
    start_all = given.pop("start", False)
    limits = _limits(given)
    tls = _tls(given)
    tables = document.get("service", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _PlacedError(
            ("service",), "service is a list: write [[service]] above each one's keys"
        )
    services: dict[str, ServiceConfig] = {}
    start = []
    for number, table in enumerate(tables):
        config, started = _service(table, number, base, start_all)
        if config.id in services:
            raise _PlacedError(
                ("service", number, "id"), f"a second service has the id {config.id!r}"
            )
        services[config.id] = config
        if started:
            start.append(config.id)
    return RoomConfig(
        **{"runs": base / RUNS_DIR, **given},
        limits=limits,
        tls=tls,
        services=tuple(services.values()),
        start=tuple(start),
    )


def _limits(given: dict[str, Any]) -> Limits:
    allow = given.pop("allow", None)
    try:
        return Limits(allow, given.pop("max_rate", None), given.pop("bodies", None))
    except UsageError as error:
        raise _PlacedError(("room", "allow"), str(error)) from None


def _tls(given: dict[str, Any]) -> Certificate | None:
    files = {key: given.pop(key) for key in ("tls_cert", "tls_key") if key in given}
    if len(files) == 1:
        raise _PlacedError(("room", *files), "TLS needs both, tls_cert and tls_key")
    return Certificate(files["tls_cert"], files["tls_key"]) if files else None


def _service(
    table: Mapping[str, Any], number: int, base: Path, start: bool
) -> tuple[ServiceConfig, bool]:
    place = ("service", number)
    given = _values(table, _SERVICE, place, base)
    for key in ("id", "url"):
        if key not in given:
            raise _PlacedError(place, f"this service has no {key}")
    if "body" in given and "text" in given:
        raise _PlacedError(
            (*place, "text"), "body and text both say what to send: give one of them"
        )
    start = given.pop("start", start)
    config = ServiceConfig(**given)
    try:
        # The body is the controller's to read: it may be large.
        prepare(_without_body(config))
    except UsageError as error:
        raise _PlacedError(place, f"service {config.id!r}: {error}") from None
    return config, start


def _without_body(config: ServiceConfig) -> ServiceConfig:
    if config.body is None:
        return config
    # A length of one's own can only be held against the body.
    headers = {k: v for k, v in config.headers.items() if k.lower() != "content-length"}
    return msgspec.structs.replace(config, body=None, headers=headers)


def _values(
    table: Mapping[str, Any], readers: Mapping[str, ValueReader], place: _Keys, base: Path
) -> dict[str, Any]:
    """The fields of `table`, which stands at `place`, by name."""
    _check_keys(table, readers, place)
    values = {}
    for key, value in table.items():
        try:
            values[_FIELDS.get(key, key)] = readers[key](value, base)
        except UsageError as error:
            reason = str(error) if str(error).startswith(key) else f"{key}: {error}"
            raise _PlacedError((*place, key), reason) from None
    return values


def _check_keys(table: Mapping[str, Any], known: Collection[str], place: _Keys) -> None:
    for key in table:
        if key not in known:
            meant = _MEANT.get(key)
            near = [meant] if meant in known else difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise _PlacedError((*place, key), f"unknown key {key!r}: {hint}")
