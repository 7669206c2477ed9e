"""How numbers and times read."""

import pytest

from tailrace.view.words import number, started


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2030-01-04T10:11:12.131+00:00", "2030-01-04 10:11:12 UTC"),
        ("2030-01-04T10:11:12Z", "2030-01-04 10:11:12 UTC"),
        ("2030-01-04T10:11:12+02:00", "2030-01-04T10:11:12+02:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_only_an_instant_in_utc_is_said_as_one(text: str, said: str) -> None:
    assert started(text) == said
