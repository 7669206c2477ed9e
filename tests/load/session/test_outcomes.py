"""What became of each request, by the schedule worked out beside the workers' own."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tailrace.load.schedule.profile import constant
from tailrace.load.session.outcomes import Outcomes
from tailrace.load.session.session import Session
from tests.kit.plans import make_plan, reached
from tests.kit.server import OK, answer_by, http

CHANGES = ((0.3, 400.0, 1.0), (0.5, 900.0, 0.2), (0.7, 150.0, 1.0))
"""When to change, to which rate, and which share is sampled from then on."""


@pytest.mark.parametrize("settings", [{}, {"workers": 2}, {"arrivals": "gamma:3"}])
async def test_each_request_is_known_over_live_changes(serve: Any, settings: Any) -> None:
    failing = answer_by(lambda number: http(b"", 500) if number % 10 == 3 else OK)
    plan = replace(make_plan(serve(failing).url, "200", **settings), samples_share=0.5)
    outcomes = Outcomes(plan)
    session = Session(plan, sampled=outcomes.add)
    await session.start()
    begins, shares = [0.0], [0.5]
    for at_s, rate, share in CHANGES:
        await reached(session, at_s)
        profile = constant(rate)
        begins.append(session.follow(profile, share, lead_s=0.1))
        outcomes.follow(begins[-1], profile, share)
        shares.append(share)
    async for _ in session.intervals():
        pass
    stretches = [
        outcomes.between(begin, end) for begin, end in zip(begins, [*begins[1:], 1.0], strict=True)
    ]
    assert [stretch.share for stretch in stretches] == shares
    assert [stretch.strays for stretch in stretches] == [0] * len(stretches)
    assert sum(stretch.offered for stretch in stretches) == session.total.offered
    assert {reason for stretch in stretches for reason in stretch.failed} == {"http: 500"}
    for stretch in stretches:
        assert not np.isnan(stretch.latency_s).any()
        assert stretch.latency_s.min(initial=np.inf) > 0
        assert len(stretch.latency_s) == pytest.approx(
            stretch.share * stretch.offered, abs=5 * np.sqrt(stretch.offered) + 1
        )
        assert sum(stretch.failed.values()) == np.isinf(stretch.latency_s).sum()
    whole = stretches[1]
    assert len(whole.latency_s) == whole.offered
    if not settings:
        assert np.isinf(whole.latency_s).mean() == pytest.approx(0.1, abs=0.1)


async def test_a_request_without_an_answer_is_known_by_when_it_was_intended(serve: Any) -> None:
    def answer(number: int) -> bytes:
        return OK if number < 30 else b""

    plan = replace(make_plan(serve(answer_by(answer)).url, "200"), samples_share=1.0)
    outcomes = Outcomes(plan)
    session = Session(plan, sampled=outcomes.add)
    await session.start()
    async for interval in session.intervals():
        if interval.point.index == 0:
            stretch = outcomes.between(0.0, 0.5)
            session.abandon()
    assert np.isfinite(stretch.latency_s[:30]).all()
    assert np.isnan(stretch.latency_s[31:]).all()
    assert len(stretch.latency_s) > 60
    outcomes.forget(0.25)
    rest = outcomes.between(0.25, 0.5)
    assert rest.offered == (stretch.intended_s >= 0.25).sum()
    # Abandoned by now: failed.
    assert np.isinf(rest.latency_s).all()
