"""The stage clock."""

from __future__ import annotations

import re

from tailrace.service.stages import STAGES, StageClock


def test_header_is_server_timing_in_milliseconds() -> None:
    clock = StageClock()
    for stage in STAGES:
        clock.end(stage)
    parts = clock.header().split(", ")
    assert [part.split(";")[0] for part in parts] == list(STAGES)
    assert all(re.fullmatch(r"\w+;dur=\d+\.\d{3}", part) for part in parts)


def test_stages_follow_each_other_without_gap() -> None:
    clock = StageClock()
    clock.end("receive")
    # Whatever happens between two ends belongs to the later stage.
    sum(range(200_000))
    clock.end("queue")
    receive, queue = (float(n) for n in re.findall(r"dur=([\d.]+)", clock.header()))
    assert queue > receive
