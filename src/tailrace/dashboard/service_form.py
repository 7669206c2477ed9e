"""The form of a service: its fields, and what is typed in them as a ServiceConfig and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tailrace.control.config import ServiceConfig
from tailrace.errors import UsageError
from tailrace.load.client.request import merge_headers, parse_header
from tailrace.load.schedule.segments import format_number
from tailrace.units import parse_duration_s

Kind = Literal["line", "lines", "number", "flag"]


class FieldError(UsageError):
    """What is typed in one field cannot be read."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        """Its name."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `name` is that of ServiceConfig's own."""

    name: str
    label: str
    hint: str = ""
    kind: Kind = "line"
    read: Callable[[str], Any] = str.strip
    show: Callable[[Any], str] = str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that belong together; a folded one is opened by who needs it."""

    title: str
    fields: tuple[Field, ...]
    folded: bool = False


def read_config(typed: Mapping[str, str]) -> ServiceConfig:
    """The configuration that is typed, by the fields' names; an empty field is its default.

    Raises:
        FieldError: one cannot be read.
    """
    values = {}
    for field in FIELDS:
        text = typed.get(field.name, "")
        if text.strip():
            try:
                values[field.name] = field.read(text)
            except UsageError as error:
                raise FieldError(field.name, f"{field.label}: {error}") from None
        elif field.required:
            raise FieldError(field.name, f"{field.label} is missing")
    return ServiceConfig(**values)


def show_config(config: ServiceConfig) -> dict[str, str]:
    """What is to stand in the fields, by their names."""
    values = {field.name: getattr(config, field.name) for field in FIELDS}
    return {
        field.name: "" if values[field.name] is None else field.show(values[field.name])
        for field in FIELDS
    }


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a whole number") from None


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _path(text: str) -> Path:
    return Path(text.strip())


def _headers(text: str) -> dict[str, str]:
    return merge_headers([parse_header(line) for line in text.splitlines() if line.strip()])


def _duration(seconds: float) -> str:
    whole = seconds > 0 and seconds % 60 == 0
    return f"{seconds / 60:.0f}m" if whole else f"{format_number(seconds)}s"


_NOT_ASKED = "-"

GROUPS: tuple[Group, ...] = (
    Group(
        "Service",
        (
            Field("id", "Id", "letters, digits, . _ -", required=True),
            Field("name", "Name", "what the page calls it"),
            Field("url", "URL", "such as http://127.0.0.1:5000/gpu", required=True),
        ),
    ),
    Group(
        "Load",
        (
            Field("profile", "Profile", "a rate, or an expression such as 100..1000/60s"),
            Field("arrivals", "Arrivals", "poisson, constant, gamma:2, …"),
            Field(
                "duration_s",
                "Duration",
                "10m; empty: until stopped",
                read=parse_duration_s,
                show=_duration,
            ),
            Field(
                "slo",
                "SLO",
                "such as p99<100ms, mean<20ms",
                read=_several,
                show=", ".join,
            ),
            Field(
                "abort_on",
                "Give up on",
                "such as failed>50%@10s; empty: never",
                read=_several,
                show=", ".join,
            ),
        ),
    ),
    Group(
        "Request",
        (
            Field("method", "Method", "empty: POST with a body, else GET"),
            Field("body", "Body file", "or a directory, on the control room's machine", read=_path),
            Field("text", "Body text", "instead of a file", "lines", read=str),
            Field(
                "headers",
                "Headers",
                "Name: value, one a line",
                kind="lines",
                read=_headers,
                show=lambda headers: "\n".join(f"{k}: {v}" for k, v in headers.items()),
            ),
        ),
        folded=True,
    ),
    Group(
        "Advanced",
        (
            Field("workers", "Load workers", "processes", "number", read=_whole),
            Field("ray", "Ray cluster", "auto or HOST:PORT; empty: this machine"),
            Field("connections", "Connections", "at most", "number", read=_whole),
            Field("reuse", "Reuse of connections", "spread, fifo or lifo"),
            Field(
                "timeout_s",
                "Timeout",
                "of a request; empty: 10s, or twice the largest bound",
                read=parse_duration_s,
                show=_duration,
            ),
            Field("seed", "Seed", "of the arrivals", "number", read=_whole),
            Field(
                "min_duration_s",
                "Least duration",
                "a shorter run is INVALID",
                read=parse_duration_s,
                show=_duration,
            ),
            Field(
                "metrics_url",
                "Metrics URL",
                f"empty: /metrics at the URL's host; {_NOT_ASKED}: not asked",
                read=lambda text: text.strip().removeprefix(_NOT_ASKED),
                show=lambda url: url or _NOT_ASKED,
            ),
            Field("ca_file", "CA file", "certificates to trust for https", read=_path),
            Field(
                "verify",
                "Check the certificate",
                "of an https URL",
                "flag",
                read=lambda text: text == "yes",
                show=lambda verify: "yes" if verify else "no",
            ),
        ),
        folded=True,
    ),
)

FIELDS = tuple(field for group in GROUPS for field in group.fields)
