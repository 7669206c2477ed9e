import math
from pathlib import Path

import pytest

from tailrace.report.differences import differences, in_words
from tailrace.report.subject import read_subjects
from tailrace.runs.compare.compare import Comparison, Difference
from tailrace.runs.compare.words import judge
from tailrace.view.markup import join


def difference_of(
    name: str, unit: str, interval: tuple[float, float] | None, **more: object
) -> Difference:
    fields: dict[str, object] = {
        "name": name,
        "unit": unit,
        "base": 10.0,
        "other": 12.0,
        "ratio": 1.2 if interval is None else sum(interval) / 2,
        "ratio_interval": interval,
        "difference_interval": interval and (1.0, 3.0),
        "more_than_noise": None if interval is None else not interval[0] <= 1 <= interval[1],
    }
    return Difference(**{**fields, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "unit", "interval", "word"),
    [
        ("p99", "ms", (1.1, 1.3), "slower"),
        ("p99", "ms", (0.6, 0.9), "faster"),
        ("p99", "ms", (0.9, 1.3), "not distinguishable"),
        ("p99", "ms", None, "cannot be told"),
        ("p99", "ms", (1.4, math.inf), "slower"),
        ("failed", "%", (2.0, 3.0), "more"),
        ("completed/s", "/s", (0.5, 0.6), "fewer"),
    ],
)
def test_a_difference_has_a_word(
    name: str, unit: str, interval: tuple[float, float] | None, word: str
) -> None:
    assert judge(difference_of(name, unit, interval)) == word


def test_the_finding_is_a_sentence() -> None:
    found = Comparison(
        base="a",
        other="b",
        differences=(
            difference_of("p50", "ms", (0.9, 1.1)),
            difference_of("p99", "ms", (1.1, 1.3)),
            difference_of("failed", "%", None),
        ),
        notes=(),
    )
    assert in_words(found, "A") == (
        "p50 is not distinguishable from A's: 10.0 → 12.0 ms; "
        "p99 is slower than A's: 10.0 → 12.0 ms, ×1.20 (1.10 – 1.30)."
    )


def test_what_is_infinite_or_absent_is_shown_as_such(runs: Path) -> None:
    subjects = read_subjects([runs / "fast", runs / "slow"])
    endless = difference_of("p99", "ms", (1.4, math.inf), other=math.inf, ratio=math.inf)
    absent = difference_of("p50", "ms", None, base=None, other=None, ratio=None)
    shown = join(
        differences(
            subjects,
            [Comparison(base="a", other="b", differences=(endless, absent), notes=("<odd>",))],
        )
    )
    assert "∞" in shown
    assert "inf" not in shown
    assert "nan" not in shown
    assert "&lt;odd&gt;" in shown


def test_one_run_alone_has_none(runs: Path) -> None:
    assert differences(read_subjects([runs / "fast"]), []) is None
