"""The timeout of a run, which its SLOs have a say in."""

import pytest

from tailrace.errors import UsageError
from tailrace.load.judge.slo import parse_slo
from tailrace.load.session.plan import choose_timeout_s


@pytest.mark.parametrize(
    ("given_s", "slos", "timeout_s"),
    [
        (None, [], 10),
        (None, ["p99<100ms"], 10),
        (None, ["p99<100ms", "max<15s", "mean<6s"], 30),
        (3, [], 3),
        (3, ["p99<100ms"], 3),
        (15, ["p99<15s"], 15),
    ],
)
def test_the_timeout_follows_the_largest_bound_unless_given(
    given_s: float | None, slos: list[str], timeout_s: float
) -> None:
    assert choose_timeout_s(given_s, [parse_slo(text) for text in slos]) == timeout_s


def test_a_timeout_below_a_bound_is_refused_with_both_numbers() -> None:
    slos = [parse_slo("p99<15s"), parse_slo("mean<1s")]
    with pytest.raises(UsageError, match=r"timeout_s: 14.9 s is shorter .* p99<15s, 15 s: .*30 s"):
        choose_timeout_s(14.9, slos)
