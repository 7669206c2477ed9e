"""Which answers are good, by status, by size, by what the body says; and the connections that look
closer at an answer: for that, or for what raw samples have of it.

A run that expects nothing but a status, and keeps no samples, pays for neither.
"""

import json
import re
from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.errors import UsageError
from tailrace.load.client.connection import Connection

if TYPE_CHECKING:
    from tailrace.load.client.pool import Pool

_STATUS = re.compile(r"([1-9])xx|([1-9]\d\d)(?:-([1-9]\d\d))?")
_SIZE = re.compile(r"(\d+)?(\.\.)?(\d+)?")
_BODY = re.compile(r"body (!?)contains (.+)", re.DOTALL)
_JSON = re.compile(r"json (!?)([^\s=!]+)\s*(?:(!?)=\s*(.+))?", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
LONGEST_BODY = 64 * 1024 * 1024
"""Bytes of a body beyond which it is not looked into."""

_NONE = bytes(1000)
"""No status is good."""

Broken = Callable[[bytes], str | None]
"""What an expectation of a body lacks in it, in words; None where it is met."""


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of an answer, as the user wrote it."""

    status: str = "2xx"
    size: str | None = None
    body: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = [f"size {self.size}"] if self.size is not None else []
        return "; ".join((f"status {self.status}", *size, *self.body))


ANY_2XX = Expect()


def parse_expect(status: str | None, size: str | None, body: Sequence[str]) -> Expect:
    """Expectations from their expressions: `2xx,304`; `100..` bytes; `body contains ok`,
    `json !error`.

    Raises:
        UsageError: one cannot be read.
    """
    status = ANY_2XX.status if status is None else status
    expect = Expect(status=status, size=size, body=tuple(body))
    good_statuses(expect.status)
    look_into(expect)
    return expect


def good_statuses(text: str) -> bytes:
    """bytes [1000]: 1 for each status that is good.

    Raises:
        UsageError: `text` cannot be read.
    """
    good = bytearray(1000)
    for part in text.split(","):
        match = _STATUS.fullmatch(part.strip())
        if match is None:
            raise UsageError(f"{text!r}: write statuses, as 2xx,304 or 200-204")
        hundreds, first, last = match.groups()
        low = int(hundreds) * 100 if hundreds else int(first)
        high = low + 99 if hundreds else int(last or first)
        if low < 200 or high < low:
            raise UsageError(f"{text!r}: {part.strip()} is no final status")
        good[low : high + 1] = bytes([1]) * (high + 1 - low)
    return bytes(good)


def look_into(expect: Expect) -> Broken | None:
    """What is to be checked of a body; None where nothing is.

    Raises:
        UsageError: an expectation cannot be read.
    """
    checks = [_size(expect.size)] if expect.size is not None else []
    checks += [_body(text) for text in expect.body]
    if not checks:
        return None
    return lambda body: next((said for check in checks if (said := check(body))), None)


def _size(text: str) -> Broken:
    match = _SIZE.fullmatch(text.strip())
    if match is None or not (match[1] or match[3]) or bool(match[3]) > bool(match[2]):
        raise UsageError(f"{text!r}: write bytes, as 512, 100.. or 100..2000")
    low = int(match[1] or 0)
    high = int(match[3]) if match[3] else None if match[2] else low
    if high is not None and high < low:
        raise UsageError(f"{text!r}: {high} is less than {low}")
    said = f"size is not {text.strip()} bytes"
    return lambda body: None if low <= len(body) and (high is None or len(body) <= high) else said


def _body(text: str) -> Broken:
    if match := _BODY.fullmatch(text.strip()):
        wanted, unwanted = match[2].encode(), bool(match[1])
        said = f"body {'has' if unwanted else 'lacks'} {_short(match[2])!r}"
        return lambda body: said if (wanted in body) is unwanted else None
    if match := _JSON.fullmatch(text.strip()):
        return _json(match[2], absent=bool(match[1]), differs=bool(match[3]), value=match[4])
    raise UsageError(
        f"{text!r}: write 'body contains TEXT', 'body !contains TEXT', 'json PATH', "
        "'json !PATH', 'json PATH=VALUE' or 'json PATH!=VALUE', as json outputs[0].shape"
    )


def _json(path: str, *, absent: bool, differs: bool, value: str | None) -> Broken:
    text = path.removeprefix("$").lstrip(".")
    steps = [int(index) if index else key for index, key in _STEP.findall(text)]
    if not steps or _STEP.sub("", text).strip("."):
        raise UsageError(f"{path!r} is no path into JSON: write a.b[0].c")
    if absent and value is not None:
        raise UsageError(f"'json !{path}' takes no value: write json {path}!={value}")
    wanted = _literal(value) if value is not None else None
    given = f"{path} is {'' if differs else 'not '}{_short(value or '')}"

    def broken(body: bytes) -> str | None:
        try:
            found, at = True, json.loads(body)
        except (ValueError, RecursionError):
            return "body is not JSON"
        for step in steps:
            try:
                at = at[step]
            except (LookupError, TypeError):
                found, at = False, None
                break
        if value is not None:
            return given if (found and at == wanted) is differs else None
        if absent:
            return f"json has {path}" if found and at is not None else None
        return None if found else f"json lacks {path}"

    return broken


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


class CheckedConnection(Connection):
    """A connection whose answers are good only if their bodies are."""

    __slots__ = ("_body", "_broken", "_check", "_size", "_statuses")

    def __init__(self, owner: "Pool", address: str, check: Broken) -> None:
        super().__init__(owner, address)
        self._check = check
        self._statuses = owner.good
        self._broken: str | None = None
        self._body = bytearray()
        self._size = 0

    def on_headers_complete(self) -> None:
        self._body.clear()
        self._size = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= LONGEST_BODY:
            self._body += body

    def on_message_complete(self) -> None:
        """The answer is whole: look at its body, and note it down."""
        if self.intended and self._good[self._parser.get_status_code()]:
            self._broken = (
                self._check(bytes(self._body))
                if self._size <= LONGEST_BODY
                else f"body of more than {LONGEST_BODY >> 20} MiB, which is not looked into"
            )
            self._good = self._statuses if self._broken is None else _NONE
        super().on_message_complete()
        self._good = self._statuses
        self._broken = None

    def _reason(self, status: int) -> str:
        if self._broken is not None:
            return f"unexpected: {self._broken}"
        return super()._reason(status)


class SampledConnection(Connection):
    """A connection whose requests are raw samples, too; its recorder has a SampleLog."""

    _first_byte_ns = 0
    _received = 0
    """Bytes of the answer so far."""

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._first_byte_ns = monotonic_ns()
        self._received += len(data)
        super().data_received(data)

    def on_message_complete(self) -> None:
        """The answer is whole; if it is a good one, it takes this row."""
        recorder = self._recorder
        samples = recorder.samples
        assert samples is not None
        row = recorder.row
        samples.first_bytes[row] = self._first_byte_ns
        samples.statuses[row] = self._parser.get_status_code()
        samples.sizes[row] = self._received
        samples.targets[row] = self._owner.target
        super().on_message_complete()
        if not self.intended:
            self._received = 0

    def _failed(self, intended_ns: int, reason: str, answer: bytes = b"") -> None:
        super()._failed(intended_ns, reason, answer)
        samples = self._recorder.samples
        assert samples is not None
        samples.fail(
            reason,
            intended_ns,
            monotonic_ns(),
            self._owner.target,
            sent_ns=self.sent_ns,
            first_byte_ns=self._first_byte_ns if self._received else 0,
            size=self._received,
            status=self._parser.get_status_code() if self._headers_done else 0,
        )


class SampledCheckedConnection(SampledConnection, CheckedConnection):
    """The same, of one that looks into bodies."""
