"""Gaps are those of the arrivals, in law, whatever their kind."""

from pathlib import Path

import numpy as np
import pytest

from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.session.gaps import gaps_of


@pytest.mark.parametrize(("kind", "cv"), [("poisson", 1.0), ("gamma:2", 2.0), ("constant", 0.0)])
def test_gaps_have_mean_one_and_their_kind_s_variation(kind: str, cv: float) -> None:
    gaps = gaps_of(parse_arrivals(kind))(20, 3000)
    assert gaps.shape == (20, 3000)
    assert gaps.mean() == pytest.approx(1, rel=0.05)
    assert gaps.std() == pytest.approx(cv, rel=0.05)


def test_replicas_of_a_recording_begin_at_different_places(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp\n" + "".join(f"{t}\n" for t in (0, 1, 2, 10, 11, 12, 20, 21, 22)))
    gaps = gaps_of(parse_arrivals(f"trace:{trace}"))(30, 50)
    assert gaps.shape == (30, 50)
    assert set(np.round(gaps / gaps.min()).ravel()) == {1, 8}
    assert len({tuple(row[:9]) for row in gaps}) > 3
