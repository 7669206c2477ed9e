"""Devices: what `--device` names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.errors import UsageError

_NAME = re.compile(r"cpu|(?!cpu)([a-z]+)(?::(\d{1,4}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Device:
    """The CPU, or card number `index` reached through `kind`."""

    kind: str
    index: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


def parse_device(text: str, kinds: Sequence[str], runtime: str) -> Device:
    """Reads `cpu`, `KIND` or `KIND:N`; N counts from 0 and is 0 where it is not given.

    Raises:
        UsageError: it is none of `kinds`, which are those that `runtime` knows.
    """
    found = _NAME.fullmatch(text)
    device = Device(found[1] or "cpu", int(found[2] or 0)) if found else None
    if device is None or device.kind not in kinds:
        known = [kind if kind == "cpu" else f"{kind}, {kind}:N" for kind in kinds]
        raise UsageError(f"unknown device {text!r}: {runtime} has {', '.join(known)}")
    return device
