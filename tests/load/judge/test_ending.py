"""When a run gives up: the grammar, the trailing time, and what it measures over it."""

import pytest

from tailrace.errors import UsageError
from tailrace.load.judge.ending import AbortWatch, parse_abort_on


@pytest.mark.parametrize(
    ("text", "percent", "inclusive", "over_s"),
    [
        ("failed>50%@10s", 50, False, 10),
        (" failed >= 100 % @ 1m ", 100, True, 60),
        ("failed>0%@500ms", 0, False, 0.5),
        ("failed>.5%@1h", 0.5, False, 3600),
    ],
)
def test_bounds(text: str, percent: float, inclusive: bool, over_s: float) -> None:
    bound = parse_abort_on(text)
    assert (bound.percent, bound.inclusive, bound.over_s) == (percent, inclusive, over_s)
    assert bound.expression == text.strip()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        *(
            (text, "does not say when to give up")
            for text in ("", "failed", "failed>50%", "failed>50@10s", "p99>1s@10s", "failed<5%@1s")
        ),
        *((text, "does not say") for text in ("failed>-1%@1s", "failed>nan%@1s", "failed>1e1%@1s")),
        ("failed>100%@10s", "never met"),
        ("failed>101%@10s", "never met"),
        ("failed>=0%@10s", "always met"),
        ("failed>50%@10", "no unit: write failed>50%@10s"),
        ("failed>50%@soon", "is not a duration"),
        ("failed>50%@0s", "must be from 1 ms to 3600 s"),
        ("failed>50%@2h", "must be from 1 ms to 3600 s"),
        ("failed>50%@" + "9" * 400 + "s", "must be from 1 ms to 3600 s"),
    ],
)
def test_what_is_none_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_abort_on(text)
    assert complaint in str(refused.value)


def watch(text: str, failed: list[int], *, of: int = 100, length_s: float = 1.0) -> int | None:
    """The number of the interval, from 1, after which the run is given up."""
    watching = AbortWatch(parse_abort_on(text))
    for number, count in enumerate(failed, 1):
        # As intervals are: a little late, and not equally so.
        begin_s, end_s = ((n * length_s) + 0.001 * (n % 3) for n in (number - 1, number))
        if watching.hopeless(begin_s, end_s, of, count):
            return number
    return None


def test_the_share_is_that_of_the_trailing_time() -> None:
    assert watch("failed>50%@3s", [100] * 9) == 3
    assert watch("failed>50%@3s", [0, 0, 100, 100]) == 4
    assert watch("failed>50%@3s", [100, 0, 0, 100, 0, 0, 100]) is None
    # 50 % is not more than 50 %.
    assert watch("failed>50%@2s", [50] * 9) is None
    assert watch("failed>=50%@2s", [50] * 9) == 2
    # What lies further back does not count.
    assert watch("failed>50%@2s", [0] * 100 + [60] * 2) == 102
    # A time that is no whole number of intervals, or shorter than one.
    assert watch("failed>50%@2.6s", [100] * 9) == 3
    assert watch("failed>50%@100ms", [0, 100]) == 2
    assert watch("failed>50%@1s", [100] * 99, length_s=0.1) == 10


def test_the_reason_says_over_which_time_it_was_so() -> None:
    watching = AbortWatch(parse_abort_on("failed>50%@2s"))
    said = [watching.hopeless(n, n + 1, 100, 60 if n > 7 else 0) for n in range(10)]
    assert said[:9] == [None] * 9
    assert said[9] is not None
    assert "60 % of the 200 requests that ended within 2 s failed" in said[9]


def test_nothing_that_ended_says_nothing() -> None:
    assert watch("failed>0%@1s", [0] * 5, of=0) is None
