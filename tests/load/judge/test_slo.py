import pytest

from tailrace.errors import UsageError
from tailrace.load.judge.confidence import still_needed
from tailrace.load.judge.slo import parse_slo
from tests.kit.samples import measured

MS = range(1, 101)


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("p99<100ms", True),
        ("p99<98.9ms", False),
        ("p99 <= 99.1ms", True),
        ("p50<51ms", True),
        ("p97.5<98.5ms", True),
        ("mean<51ms", True),
        ("mean<50ms", False),
        ("max<100ms", False),
        ("max<=100ms", True),
        ("p99.9<1s", True),
    ],
)
def test_bounds(expression: str, holds: bool) -> None:
    assert parse_slo(expression).holds(measured(MS)) is holds


@pytest.mark.parametrize("statistic", ["p50", "p97", "p99.9", "mean", "max"])
def test_at_the_bound_the_operator_decides(statistic: str) -> None:
    at_the_bound = measured([1.0] * 100)
    assert parse_slo(f"{statistic}<=1ms").holds(at_the_bound)
    assert not parse_slo(f"{statistic}<1ms").holds(at_the_bound)


@pytest.mark.parametrize(
    ("expression", "failed", "holds"),
    [
        ("failed<1%", 0, True),
        ("failed<1%", 1, False),
        ("failed<=1%", 1, True),
        ("failed <= 1.0 %", 2, False),
        ("failed<2.5%", 2, True),
    ],
)
def test_failures_have_a_bound_of_their_own(expression: str, failed: int, holds: bool) -> None:
    some = measured(range(1, 101 - failed), failed=failed)
    slo = parse_slo(expression)
    assert slo.holds(some) is holds
    assert slo.over(some) == failed


def test_a_failure_is_never_faster_than_the_bound() -> None:
    assert parse_slo("p99<101ms").holds(measured(MS, failed=1))
    assert not parse_slo("p99<101ms").holds(measured(MS, failed=2))
    assert parse_slo("p50<80ms").holds(measured(MS, failed=40))
    assert not parse_slo("mean<1h").holds(measured(MS, failed=1))
    assert not parse_slo("p99<1h").holds(measured())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        *(
            (text, "is not an SLO")
            for text in (
                "",
                "p99",
                "p99<",
                "p99>1ms",
                "p-1<1s",
                "p1e1<1s",
                "p٩<1s",
                "q99<1s",
                "<1s",
            )
        ),
        ("p99<100", "no unit: write p99<100ms or p99<100s"),
        ("max <= 2.", "no unit: write max <= 2.ms or max <= 2.s"),
        ("p99<٣", "no unit"),
        ("p0<1s", "not 0 "),
        ("p00.0<1s", "not 00.0 "),
        ("p0.0000001<1s", "not 0.0000001 "),
        ("p100<1s", "not 100 "),
        ("p100.0<1s", "not 100.0 "),
        ("p99.99999999999999999<1s", "not 99.99999999999999999 "),
        ("p1234<1s", "not 1234 "),
        ("p" + "9" * 400 + "<1s", "a percentile is 0.001 to 99.9999999"),
        ("failed<1", "a share of them: write failed<0.1%"),
        ("failed<1s", "a share of them: write failed<0.1%"),
        ("failed<0%", "not 0"),
        ("failed<100%", "not 100"),
        ("failed<1e-3%", "a share of them"),
        ("p99<0s", "must be from 1 µs to 3600 s"),
        ("p99<0.5us", "must be from 1 µs to 3600 s"),
        ("p99<1.01h", "must be from 1 µs to 3600 s"),
        ("p99<" + "9" * 400 + "s", "must be from 1 µs to 3600 s"),
        *(
            (f"p99<{bound}", "is not a duration")
            for bound in ("fast", "-1s", "infs", "nans", "nan ms", "1e400s", "1 s s", "s", "0x1s")
        ),
    ],
)
def test_not_an_slo(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_slo(text)
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("percent", ["0.001", "09", "50", "99", "99.0", "99.9999999"])
@pytest.mark.parametrize(("over", "queries"), [(0, 0), (0, 1), (3, 1000), (10**6, 10**6)])
def test_whatever_percentile_is_taken_can_be_judged(percent: str, over: int, queries: int) -> None:
    slo = parse_slo(f"p{percent}<1s")
    assert slo.percent == float(percent)
    assert slo.statistic == f"p{slo.percent:.10g}"
    assert still_needed(slo.percent, queries, over) >= 0
