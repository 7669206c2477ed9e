import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.errors import UsageError
from tailrace.load.schedule.profile import (
    Profile,
    constant,
    parse_profile,
)
from tailrace.load.schedule.profile_text import KINDS, TimedSegment
from tailrace.load.schedule.segments import Burst, ConstantRate, Floats, Ramp, Segment, Sine

rates = st.floats(0.1, 1e5)
rates_or_0 = st.just(0.0) | rates
lengths = st.floats(0.001, 1000)


@st.composite
def sines(draw: st.DrawFn) -> Sine:
    mean = draw(rates)
    phase = draw(st.floats(0, 1, exclude_max=True))
    return Sine(mean, mean * draw(st.floats(0, 1)), draw(st.floats(0.01, 1e5)), phase)


@st.composite
def bursts(draw: st.DrawFn) -> Burst:
    base, every = draw(rates_or_0), draw(st.floats(0.01, 1e4))
    peak = max(base, draw(rates))
    return Burst(base, peak, every, every * draw(st.floats(0.001, 0.99)))


kinds: dict[str, st.SearchStrategy[Segment]] = {
    "constant": st.builds(ConstantRate, rates_or_0),
    "ramp": st.builds(Ramp, rates_or_0, rates_or_0, st.floats(0.001, 1e5)),
    "sine": sines(),
    "burst": bursts(),
}
segments = st.one_of(*kinds.values())


@st.composite
def sequences(draw: st.DrawFn) -> Profile:
    parts = draw(st.lists(st.builds(TimedSegment, segments, lengths), min_size=1, max_size=6))
    return Profile.of_parts(parts)


def inverse(profile: Profile, u: float) -> float:
    return float(profile.inverse(np.array([u]))[0])


def alone(segment: Segment) -> Profile:
    """The segment for ever."""
    return Profile.of_parts([TimedSegment(segment, None)])


def check_identity(profile: Profile, t_s: float) -> None:
    """Λ⁻¹(Λ(t)) = t within 1 µs, where a double can carry it and the rate is not 0."""
    area = profile.integral(t_s)
    found = inverse(profile, area)
    # What the last bits of Λ are worth in time, at the least rate about t.
    around = np.clip([t_s - 1e-6, t_s, t_s + 1e-6], 0, None).tolist()
    rate = min(profile.rate(t) for t in around)
    if rate > 0:
        assert found == pytest.approx(t_s, abs=1e-6 + 16 * math.ulp(area) / rate)
    if math.isfinite(found):
        top = max(profile.rate(t) for t in (found, max(found - 1e-6, 0), found + 1e-6))
        slack = 16 * math.ulp(area) + 1e-9 * top + 16 * math.ulp(found) * top
        assert profile.integral(found) == pytest.approx(area, abs=slack)


@pytest.mark.parametrize("kind", kinds)
@given(data=st.data())
def test_inverse_inverts_the_integral(kind: str, data: st.DataObject) -> None:
    check_identity(alone(data.draw(kinds[kind])), data.draw(st.floats(0, 1e5)))


def test_every_function_but_a_files_is_tried_here() -> None:
    assert kinds.keys() == KINDS.keys() - {"trace"}


@given(segments, st.floats(0, 1e4))
def test_what_has_a_period_has_as_many_arrivals_in_each(segment: Segment, x_s: float) -> None:
    if segment.period_s is not None:
        areas = segment.integral(np.array([x_s, x_s + segment.period_s]))
        once = float(segment.integral(np.array(segment.period_s)))
        assert areas[1] - areas[0] == pytest.approx(once, rel=1e-6, abs=16 * math.ulp(areas[1]))


@given(sequences(), st.floats(0, 1e4))
def test_inverse_inverts_the_integral_of_a_sequence(profile: Profile, t_s: float) -> None:
    check_identity(profile, t_s)


@pytest.mark.parametrize(
    "text",
    [
        "100000",
        "0..100000/100000s",
        "100000..1/100000s",
        "99999..100000/100000s",
        "sine(mean=50000,amp=49999,period=100000s)",
        "sine(mean=50000,amp=49000,period=10ms,phase=0.75)",
        "burst(base=1,peak=100000,every=7s,for=1s)",
    ],
)
def test_a_day_at_100000_a_second_is_kept_to_a_microsecond(text: str) -> None:
    profile = parse_profile(text)
    times = np.random.default_rng(1).uniform(0, 1e5, 4000)
    areas = np.array([profile.integral(t) for t in times.tolist()])
    slow = np.array([profile.rate(t) for t in times.tolist()]) < 10
    errors = np.abs(profile.inverse(areas) - times)
    assert errors[~slow].max() < 1e-6


def check_monotone(profile: Profile, u: Floats) -> None:
    times = profile.inverse(np.sort(u))
    finite = times[np.isfinite(times)]
    assert not np.isnan(times).any()
    assert np.isinf(times[len(finite) :]).all()
    # Two ulps of the instant itself: what Newton's method leaves in a sine.
    assert (np.diff(finite) >= -1e-9).all()
    assert (finite >= 0).all()
    areas = np.array([profile.integral(t) for t in (0.0, 1.0, 10.0, 100.0, 1e5)])
    assert (np.diff(areas) >= 0).all()


@pytest.mark.parametrize("kind", kinds)
@given(data=st.data())
def test_monotone(kind: str, data: st.DataObject) -> None:
    profile = alone(data.draw(kinds[kind]))
    top = profile.integral(data.draw(st.floats(0.001, 1e5))) + 1
    check_monotone(profile, np.random.default_rng(0).uniform(0, top, 500))


@given(sequences(), st.lists(st.floats(0, 1e8), min_size=1, max_size=50))
def test_a_sequence_is_monotone(profile: Profile, u: list[float]) -> None:
    check_monotone(profile, np.array(u))


@given(
    st.one_of(kinds["constant"], kinds["ramp"], kinds["burst"]),
    st.floats(0, 1e5),
)
@example(Burst(0.1015625, 2.0, 0.01, 0.000625), 96.0)
def test_neighbouring_doubles_keep_their_order(segment: Segment, t_s: float) -> None:
    """Exactly, not to within rounding: every operation of these inverses is monotone."""
    profile = alone(segment)
    middle = profile.integral(t_s)
    u = middle + np.arange(-200, 200) * math.ulp(middle)
    times = profile.inverse(np.maximum(u, 0))
    assert (times[1:] >= times[:-1]).all()


@given(sequences(), st.integers(1, 7), st.floats(1, 1e6))
def test_an_arrival_does_not_depend_on_its_company(
    profile: Profile, workers: int, top: float
) -> None:
    u = np.sort(np.random.default_rng(0).uniform(0, top, 300))
    whole = profile.inverse(u)
    for worker in range(workers):
        assert np.array_equal(profile.inverse(u[worker::workers]), whole[worker::workers])
    assert np.array_equal([inverse(profile, one) for one in u[:20].tolist()], whole[:20])


@given(sequences(), st.floats(0, 3000), sequences(), st.floats(0.1, 100))
def test_a_live_change(profile: Profile, at_s: float, given: Profile, later_s: float) -> None:
    changed = profile.changed(at_s, given)
    # The time since the change as doubles carry it.
    since_s = (at_s + later_s) - at_s
    expected = profile.integral(at_s) + given.integral(since_s)
    # What 1 ns is worth, and the last bits of a long sine's swing.
    slack = 1e-6 + 1e-9 * (profile.rate(at_s) + given.peak_per_s)
    assert changed.integral(at_s + later_s) == pytest.approx(expected, rel=1e-9, abs=slack)
    assert changed.rate(at_s) == given.rate(0)
    if at_s > 0:
        assert changed.rate(at_s / 2) == profile.rate(at_s / 2)
    near = profile.integral(at_s) + np.arange(-50, 50) * math.ulp(profile.integral(at_s))
    spread = np.random.default_rng(0).uniform(0, 2 * profile.integral(at_s) + 10, 500)
    u = np.sort(np.maximum(np.concatenate([near, spread]), 0))
    before, after = profile.inverse(u), changed.inverse(u)
    noisy = any(isinstance(segment, Sine) for segment in profile.segments)
    early = before < (at_s - 1e-9 if noisy else at_s)
    assert np.array_equal(before[early], after[early])
    assert (after[before > (at_s + 1e-9 if noisy else at_s)] >= at_s).all()


@settings(max_examples=50)
@given(sequences(), st.lists(st.tuples(st.floats(0, 100), sequences()), max_size=6), st.booleans())
def test_what_is_told_of_a_profile_gives_it_back(
    profile: Profile, changes: list[tuple[float, Profile]], in_order: bool
) -> None:
    for change in sorted(changes, key=lambda change: change[0]) if in_order else changes:
        profile = profile.changed(*change)
    again = Profile.restored(profile.placed)
    u = np.random.default_rng(0).uniform(0, profile.integral(4000) + 10, 500)
    assert np.array_equal(profile.inverse(u), again.inverse(u))
    for t_s in (0.0, 0.5, 17.3, 1234.5):
        assert again.rate(t_s) == profile.rate(t_s)
        assert again.integral(t_s) == profile.integral(t_s)


@settings(max_examples=50)
@given(
    sequences(),
    st.lists(st.tuples(st.floats(0, 20), sequences(), st.floats(0, 1)), min_size=1, max_size=8),
)
def test_forgetting_the_past_moves_nothing(
    profile: Profile, changes: list[tuple[float, Profile, float]]
) -> None:
    """With some part of what is due before each change not sent yet, as in a worker."""
    whole = pruned = profile
    reached = 0.0
    for t_s, other, sent in sorted(changes, key=lambda change: change[0]):
        whole = whole.changed(t_s, other)
        reached = max(reached, sent * whole.integral(t_s))
        pruned = pruned.changed(t_s, other).without_past(t_s, reached)
        u = reached + np.random.default_rng(0).uniform(0, other.integral(30) + 10, 300)
        assert np.array_equal(whole.inverse(u), pruned.inverse(u))
        assert np.array_equal(whole.inverse(u), Profile.restored(pruned.placed).inverse(u))
        for later_s in (t_s, t_s + 0.1, t_s + 100):
            assert pruned.rate(later_s) == whole.rate(later_s)
            assert pruned.integral(later_s) == whole.integral(later_s)


def test_a_profile_changed_for_ever_does_not_grow() -> None:
    profile = constant(100)
    for number in range(500):
        t_s = number / 100
        profile = profile.changed(t_s, constant(number)).without_past(t_s - 0.05)
        assert len(profile.segments) <= 7
    assert profile.rate(4.95) == 495


@given(sequences(), st.floats(0, 50), sequences(), st.lists(st.floats(0, 1e4), max_size=20))
def test_no_rate_is_above_the_peak(
    profile: Profile, at_s: float, given: Profile, times: list[float]
) -> None:
    changed = profile.changed(at_s, given)
    assert changed.peak_per_s <= max(profile.peak_per_s, given.peak_per_s)
    for t_s in times:
        assert profile.rate(t_s) <= profile.peak_per_s * (1 + 1e-12)
        assert changed.rate(t_s) <= changed.peak_per_s * (1 + 1e-12)


@pytest.mark.parametrize(
    ("text", "peak"),
    [
        ("200", 200),
        ("100@30s,500@1s,20", 500),
        ("100..1000/60s", 1000),
        ("1000..10/60s,11", 1000),
        ("sine(mean=300,amp=200,period=120s)", 500),
        ("burst(base=100,peak=900,every=30s,for=2s)", 900),
        ("0", 0),
    ],
)
def test_peaks(text: str, peak: float) -> None:
    assert parse_profile(text).peak_per_s == peak


@pytest.mark.parametrize("rate", [-1.0, float("inf"), float("nan"), 1e13, 1e-13])
def test_unusable_rates(rate: float) -> None:
    with pytest.raises(UsageError, match="finite number"):
        constant(rate)


def test_unusable_changes() -> None:
    with pytest.raises(UsageError, match="finite instant"):
        constant(1).changed(math.inf, constant(2))
    changed = constant(1).changed(3, constant(2))
    for unusable in (changed, changed.without_past(4)):
        with pytest.raises(UsageError, match="changed live"):
            constant(1).changed(5, unusable)


@pytest.mark.parametrize(
    ("text", "rate_at", "area_at"),
    [
        ("200", {0: 200, 9: 200}, {10: 2000}),
        ("100..1000/60s", {0: 100, 30: 550, 60: 1000, 90: 1000}, {60: 33_000, 61: 34_000}),
        ("1000..0/10s", {0: 1000, 5: 500, 10: 0, 11: 0}, {10: 5000, 100: 5000}),
        (
            "sine(mean=300,amp=200,period=120s)",
            {0: 300, 30: 500, 60: 300, 90: 100, 150: 500},
            {60: 18_000 + 200 * 120 / np.pi, 120: 36_000, 1200: 360_000},
        ),
        ("sine(mean=300,amp=200,period=120s,phase=0.25)", {0: 500, 60: 100}, {120: 36_000}),
        (
            "burst(base=100,peak=1000,every=30s,for=2s)",
            {0: 100, 27.9: 100, 28: 1000, 29.9: 1000, 30: 100, 58: 1000},
            {28: 2800, 30: 4800, 60: 9600, 59: 8600},
        ),
        ("100@30s,500", {0: 100, 29.9: 100, 30: 500, 1e6: 500}, {31: 3500}),
        ("0..10/10s@5s,7", {4: 4, 5: 7}, {5: 12.5, 6: 19.5}),
    ],
)
def test_known_rates_and_integrals(
    text: str, rate_at: dict[float, float], area_at: dict[float, float]
) -> None:
    profile = parse_profile(text)
    for t_s, rate in rate_at.items():
        assert profile.rate(t_s) == pytest.approx(rate, rel=1e-12, abs=1e-9)
    for t_s, area in area_at.items():
        assert profile.integral(t_s) == pytest.approx(area, rel=1e-12)


def test_a_recorded_rate(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("t_s,rate\n100,50\n110,0\n130,200\n")
    profile = parse_profile(f"trace({file})")
    assert [profile.rate(t) for t in (0, 9.9, 10, 29, 30, 1000)] == [50, 50, 0, 0, 200, 200]
    assert [profile.integral(t) for t in (10, 30, 31)] == [500, 500, 700]
    assert profile.inverse(np.array([0.0, 499.0, 500.0, 700.0])).tolist() == [0, 9.98, 30, 31]
    faster = parse_profile(f"trace({file},scale=2,speed=10)")
    assert [faster.rate(t) for t in (0, 1, 3)] == [1000, 0, 4000]
    assert (profile.peak_per_s, faster.peak_per_s) == (200, 4000)
    for recorded in (profile, faster):
        assert parse_profile(recorded.expression).expression == recorded.expression
    assert faster.expression == f"trace({file},scale=2,speed=10)"
    live = constant(5).changed(1.5, faster)
    assert [live.rate(t) for t in (1, 1.5, 2.5, 4.5)] == [5, 1000, 0, 4000]
    restored = Profile.restored(live.placed)
    assert np.array_equal(restored.inverse(np.arange(5000.0)), live.inverse(np.arange(5000.0)))
    again = parse_profile(faster.expression)
    assert np.array_equal(again.inverse(np.arange(5000.0)), faster.inverse(np.arange(5000.0)))


def test_recorded_counts_as_a_rate_end_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "per minute (1,2).csv"
    file.write_text("minute,count\n7,600\n8,0\n9,60\n")
    profile = parse_profile(f'trace("{file}")@2m,trace("{file}")')
    assert [profile.rate(t) for t in (0, 60, 119, 120, 240, 299, 300)] == [10, 0, 0, 10, 1, 1, 0]
    assert parse_profile(profile.expression).expression == profile.expression
    assert inverse(profile, profile.integral(1e6)) == math.inf


def test_a_change_leaves_the_past_bit_for_bit() -> None:
    profile = parse_profile("137@2s,911")
    u = np.sort(np.random.default_rng(0).uniform(0, 137 * 2 + 911 * 3, 5000))
    before, after = profile.inverse(u), profile.changed(4.0, constant(33)).inverse(u)
    assert np.array_equal(before[before < 4], after[before < 4])
    assert (after[before >= 4] >= 4).all()


def test_a_change_replaces_later_steps() -> None:
    assert parse_profile("1@10s,2@10s,3").changed(5, constant(9)).placed == [
        (0, 0, "1"),
        (5, 5, "9"),
    ]
    assert constant(5).changed(0, constant(7)).placed == [(0, 0, "7")]
    ramp = parse_profile("0..100/10s,100").changed(5, constant(9))
    assert (ramp.rate(4), ramp.rate(5), ramp.rate(100)) == (40, 9, 9)


def test_a_pause_sends_nothing_and_ends() -> None:
    profile = parse_profile("100@1s,0@2s,100")
    times = profile.inverse(np.arange(200, dtype=np.float64))
    assert not ((times > 1) & (times < 3)).any()
    assert times[100] == 3
    assert np.isinf(constant(0).inverse(np.array([0.0, 1.0]))).all()
    assert np.isinf(parse_profile("100@1s,0").inverse(np.array([100.0, 101.0]))).all()


@given(segments)
def test_arrivals_that_never_come(segment: Segment) -> None:
    followed = [TimedSegment(segment, 5.0), TimedSegment(ConstantRate(3.0), None)]
    for profile in (alone(segment), Profile.of_parts(followed)):
        assert inverse(profile, math.inf) == math.inf
    assert alone(segment).inverse(np.empty(0)).shape == (0,)
