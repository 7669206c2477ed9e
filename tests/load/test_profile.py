import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import UsageError
from tailrace.load.profile import Profile, parse_profile

rates = st.floats(0.1, 1e5)
lengths = st.floats(0.001, 1000)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("200", [(0, 200)]),
        ("12k/min", [(0, 200)]),
        ("100@30s,500@30s", [(0, 100), (30, 500)]),
        ("100@500ms, 0@1m, 2k", [(0, 100), (0.5, 0), (60.5, 2000)]),
    ],
)
def test_parse(text: str, steps: list[tuple[float, float]]) -> None:
    assert parse_profile(text).steps == steps


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not a rate"),
        ("fast", "'fast' is not a rate"),
        ("100,200", "'100' needs a length"),
        ("100@soon,200", "'soon' is not a duration"),
        ("100@30s,,5", "'' needs a length"),
    ],
)
def test_parse_errors_say_which_part(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_profile(text)


@pytest.mark.parametrize("rate", [-1.0, float("inf"), float("nan")])
def test_unusable_rates(rate: float) -> None:
    with pytest.raises(UsageError, match="finite number"):
        Profile([0], [rate])
    with pytest.raises(UsageError, match="finite number"):
        Profile([0], [1]).changed(3, rate)


def test_steps_must_be_in_order() -> None:
    with pytest.raises(UsageError, match="follow one another"):
        Profile([0, 5, 3], [1, 2, 3])


@given(st.lists(st.tuples(lengths, rates), min_size=1, max_size=6), st.floats(0, 3000))
def test_inverse_inverts_the_integral(steps: list[tuple[float, float]], t_s: float) -> None:
    starts = np.concatenate([[0.0], np.cumsum([length for length, _ in steps])[:-1]])
    profile = Profile(starts.tolist(), [rate for _, rate in steps])
    assert profile.inverse(np.array([profile.integral(t_s)]))[0] == pytest.approx(t_s, abs=1e-6)


@given(rates, st.floats(0.1, 100), rates, st.floats(0.1, 100))
def test_a_live_change_is_the_analytic_integral(a: float, at_s: float, b: float, d: float) -> None:
    changed = Profile([0], [a]).changed(at_s, b)
    assert changed.integral(at_s + d) == pytest.approx(a * at_s + b * d, rel=1e-9)
    assert changed.rate(at_s / 2) == a
    assert changed.rate(at_s) == b


def test_a_change_leaves_the_past_bit_for_bit() -> None:
    profile = parse_profile("137@2s,911")
    u = np.sort(np.random.default_rng(0).uniform(0, 137 * 2 + 911 * 3, 5000))
    before, after = profile.inverse(u), profile.changed(4.0, 33).inverse(u)
    assert np.array_equal(before[before < 4], after[before < 4])
    assert (after[before >= 4] >= 4).all()


def test_a_change_replaces_later_steps() -> None:
    assert parse_profile("1@10s,2@10s,3").changed(5, 9).steps == [(0, 1), (5, 9)]
    assert Profile([0], [5]).changed(0, 7).steps == [(0, 7)]


def test_a_pause_sends_nothing_and_ends() -> None:
    profile = parse_profile("100@1s,0@2s,100")
    times = profile.inverse(np.arange(200, dtype=np.float64))
    assert not ((times > 1) & (times < 3)).any()
    assert times[100] == 3
    assert np.isinf(Profile([0], [0]).inverse(np.array([0.0, 1.0]))).all()
    assert np.isinf(parse_profile("100@1s,0").inverse(np.array([100.0, 101.0]))).all()
