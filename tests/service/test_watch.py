"""Whether a worker moves."""

from __future__ import annotations

import pytest

from tailrace.service.sheet import BEAT, BEGAN, Sheet
from tailrace.service.watch import ASIDE_S, LOOK_S, SILENT_S, Watch


def _looks(watch: Watch, seconds: float) -> None:
    for _ in range(round(seconds / LOOK_S)):
        watch.look()


def test_who_stands_still_is_set_aside_and_then_replaced() -> None:
    head = Sheet(1, 0).head(0)
    watch = Watch(head, 60.0, 0.0)
    head[BEAT] += 1
    watch.look()
    _looks(watch, ASIDE_S - LOOK_S)
    assert not watch.is_silent
    _looks(watch, LOOK_S)
    assert watch.is_silent
    assert watch.hangs is None
    _looks(watch, SILENT_S - ASIDE_S)
    assert watch.hangs == "it has stood still for 10 s"


def test_who_moves_again_is_as_good_as_new() -> None:
    head = Sheet(1, 0).head(0)
    watch = Watch(head, 60.0, 0.0)
    _looks(watch, SILENT_S - LOOK_S)
    head[BEAT] += 1
    watch.look()
    assert not watch.is_silent
    _looks(watch, ASIDE_S - LOOK_S)
    assert not watch.is_silent


@pytest.mark.parametrize(("slowest_s", "limit_s"), [(0.1, 5.0), (2.0, 20.0)])
def test_inference_that_does_not_end(slowest_s: float, limit_s: float) -> None:
    head = Sheet(1, 0).head(0)
    watch = Watch(head, 5.0, slowest_s)
    head[BEGAN] = 1
    for _ in range(round(limit_s / LOOK_S)):
        head[BEAT] += 1
        watch.look()
        assert watch.hangs is None
    head[BEAT] += 1
    watch.look()
    assert watch.hangs == f"an inference has taken {limit_s:g} s"


def test_inferences_that_end_and_none_at_all_are_no_cause() -> None:
    head = Sheet(1, 0).head(0)
    watch = Watch(head, 1.0, 0.0)
    for began_ns in (*range(1, 20), *[0] * 20):
        head[BEGAN] = began_ns
        watch.look()
        assert watch.stuck is None
