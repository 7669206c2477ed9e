"""Faults on purpose: a share of the requests is delayed in one stage, so that what looks for the
cause of a tail can be tested with a tail whose cause is known."""

from __future__ import annotations

import msgspec

from tailrace.errors import UsageError
from tailrace.service.stages import STAGES
from tailrace.units import format_duration, parse_duration_s


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is to go wrong."""

    stage: str
    """One of STAGES."""
    delay_s: float
    share: float
    """Of the requests, 0..1."""

    def __str__(self) -> str:
        share = f"{100 * self.share:g} % of the requests"
        return f"{share} are delayed by {format_duration(self.delay_s)} in {self.stage} on purpose"


def parse_fault(text: str) -> Fault:
    """The fault that `stage=NAME,delay=50ms,share=0.02` says.

    Raises:
        UsageError: it says none.
    """
    said = dict(part.partition("=")[::2] for part in text.split(","))
    if said.keys() != {"stage", "delay", "share"}:
        raise UsageError(f"--fault is stage=NAME,delay=50ms,share=0.02, not {text!r}")
    if said["stage"] not in STAGES:
        raise UsageError(f"--fault: a stage is {', '.join(STAGES)}, not {said['stage']!r}")
    try:
        share = float(said["share"])
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"--fault: a share is a number from 0 to 1, not {said['share']!r}")
    return Fault(stage=said["stage"], delay_s=parse_duration_s(said["delay"]), share=share)
