"""What the parent and the worker processes tell each other: one line of JSON each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tailrace.service.config import ServiceConfig


class Listening(msgspec.Struct, frozen=True, tag="listening"):
    """It takes connections, though it can answer no more than health checks."""


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """Every model is loaded."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Every model is warm."""

    slowest_s: float
    """The longest inference that this took."""


class Leaving(msgspec.Struct, frozen=True, tag="leaving"):
    """It was told to stop: it answers what it has been dealt, and ends."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The worker cannot start, and says why."""

    reason: str
    usage: bool
    """Whether what was asked for is to blame."""


Report = Listening | Loaded | Ready | Leaving | Failed

_REPORTS: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


def encode(message: Report | ServiceConfig) -> bytes:
    """One line, with its end."""
    return msgspec.json.encode(message, enc_hook=_plain) + b"\n"


def decode_report(line: bytes) -> Report | None:
    """The report in a line; None for anything else that a library may have printed."""
    try:
        return _REPORTS.decode(line)
    except msgspec.MsgspecError:
        return None


def decode_config(line: bytes) -> ServiceConfig:
    """The settings in a line."""
    return msgspec.json.decode(line, type=ServiceConfig, dec_hook=_rich)


def _plain(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError


def _rich(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError
