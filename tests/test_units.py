import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import UsageError
from tailrace.units import (
    NONE,
    format_clock,
    format_duration,
    format_exact,
    format_figure,
    format_lag,
    format_latency,
    number,
    parse_bytes,
    parse_duration_s,
    parse_rate_per_s,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("250ms", 0.25),
        ("5m", 300),
        ("1.5h", 5400),
        ("7", 7),
        (" 2 min ", 120),
        ("1h30m", 5400),
        ("1d", 86_400),
        ("1d 12h", 129_600),
        ("2m30.5s", 150.5),
        ("1s500ms", 1.5),
        ("1µs", 1e-6),
        ("1\u03bcs", 1e-6),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "s", "-1s", "3 parsecs", "1e9s", "nan", "1s2s", "5m1h", "1h30", "30 1h", "1hm", "m1"],
)
def test_not_a_duration(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration_s(text)


@pytest.mark.parametrize("text", ["9" * 400, "1" + "0" * 10, "300000h", "12000d"])
def test_no_duration_is_endless(text: str) -> None:
    with pytest.raises(UsageError, match="must be at most 1e9 s") as raised:
        parse_duration_s(text)
    assert len(str(raised.value)) < 100


def test_a_duration_has_the_bounds_it_is_given() -> None:
    assert parse_duration_s("1ms", least_s=1e-3) == 1e-3
    with pytest.raises(UsageError, match=r"'0.1ns' must be from 1 ms to 1e9 s"):
        parse_duration_s("0.1ns", least_s=1e-3)


@pytest.mark.parametrize("text", ["9" * 400, "2000000M"])
def test_no_rate_is_endless(text: str) -> None:
    with pytest.raises(UsageError, match="must be at most 1e12 a second"):
        parse_rate_per_s(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("200", 200),
        ("200/s", 200),
        ("12k/min", 200),
        ("1.5k", 1500),
        ("2M/h", 2e6 / 3600),
        ("0", 0),
    ],
)
def test_rates(text: str, rate: float) -> None:
    assert parse_rate_per_s(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "-5", "fast", "5/day", "inf", "1,000"])
def test_not_a_rate(text: str) -> None:
    with pytest.raises(UsageError, match="is not a rate"):
        parse_rate_per_s(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (5e-6, "5 µs"),
        (999.4e-6, "999 µs"),
        (999.9e-6, "1 ms"),
        (0.0142, "14.2 ms"),
        (0.9996, "1 s"),
        (1.5, "1.5 s"),
        (119.9, "2 min"),
        (600, "10 min"),
        (7199, "2 h"),
        (360_000_000, "100,000 h"),
    ],
)
def test_format_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        (" 1.5kB ", 1500),
        ("64KiB", 2**16),
        ("64MiB", 2**26),
        ("2 GB", 2 * 10**9),
        ("0.5GiB", 2**29),
        ("7B", 7),
    ],
)
def test_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "0.3kiB", "1TB", "5M", "1e9", "9" * 30])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size: write 64MiB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1, "0.1"), (49.719, "49.72"), (10_240, "10,240"), (123_456, "123,500"), (1e6, "1,000,000")],
)
def test_a_figure_has_no_exponent(value: float, shown: str) -> None:
    assert format_figure(value) == shown


def test_a_time_that_may_not_be() -> None:
    assert (format_lag(85.2), format_lag(1234)) == ("85.2 µs", "1.23 ms")
    assert (format_latency(0.5), format_latency(2500)) == ("500 µs", "2.5 s")
    assert format_lag(None) == format_latency(None) == NONE


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (9.4, "0:09"), (750, "12:30"), (3600, "1:00:00")]
)
def test_a_clock(seconds: float, shown: str) -> None:
    assert format_clock(seconds) == shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0.00"),
        (0.1234, "0.12"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (99.96, "100"),
        (1234.5, "1,234"),
        (123456, "123,456"),
    ],
)
def test_numbers_have_three_figures(value: float | None, text: str) -> None:
    assert number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_full_reads_back_as_the_same_bits(value: float) -> None:
    text = format_exact(value)
    assert float(text).hex() == value.hex()
    assert not set(text) & set("eE")
    assert not text.endswith(".0")
