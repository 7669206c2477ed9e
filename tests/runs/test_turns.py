"""Into how many turns a time is cut."""

import pytest

from tailrace.runs.turns import rounds_for


@pytest.mark.parametrize(
    ("each_s", "rate_per_s", "rounds"),
    [
        (60, 100, 12),
        # 100 requests a turn take longer than 5 s.
        (60, 10, 6),
        (60, 1, 5),
        (10, 100, 5),
        (3600, 1000, 60),
    ],
)
def test_a_turn_is_short_but_not_of_few_requests(
    each_s: float, rate_per_s: float, rounds: int
) -> None:
    assert rounds_for(each_s, rate_per_s) == rounds
