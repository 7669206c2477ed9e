import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tailrace.errors import UsageError
from tailrace.load.schedule.profile import parse_profile
from tailrace.load.schedule.profile_text import KINDS, join_parts, parse_parts

EXPRESSIONS = [
    "200",
    "0.00001",
    "100..1000/60s",
    "100@30s,500@30s",
    "sine(mean=300,amp=200,period=120s)",
    "sine(mean=300,amp=200,period=120s,phase=0.25)",
    "burst(base=100,peak=1000,every=30s,for=2s)",
    "100..1000/60s,1000@30s,sine(mean=300,amp=200,period=120s)",
    "100..1000/60s@30s,burst(base=0,peak=10,every=1s,for=0.1s)@0.000000001s,7",
]
ALPHABET = st.sampled_from(list("0123456789.,@/() =ksmhine\"'")) | st.sampled_from(
    ["..", "sine(", "burst(", "trace(", "mean=", "amp=", "period=", "every=", "for=", "30s", "100"]
)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("200", [(0, 200)]),
        ("12k/min", [(0, 200)]),
        ("100@30s,500@30s", [(0, 100), (30, 500)]),
        ("100@500ms, 0@1m, 2k", [(0, 100), (0.5, 0), (60.5, 2000)]),
    ],
)
def test_steps(text: str, steps: list[tuple[float, float]]) -> None:
    placed = parse_profile(text).placed
    assert [(start_s, float(rate)) for start_s, _, rate in placed] == steps


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("12k/min", "200"),
        ("6k/min .. 1k/s / 1m", "100..1000/60s"),
        ("100/s..1000/s/60", "100..1000/60s"),
        ("ramp(from=100, to=1k, over=1m)", "100..1000/60s"),
        (" SINE( mean = 300 , amp=200/s, period=2m ) ", "sine(mean=300,amp=200,period=120s)"),
        (
            "sine(mean=300,amp=200,period=2m,phase=0)@1m,5",
            "sine(mean=300,amp=200,period=120s)@60s,5",
        ),
        ("burst(peak=1k,base=100,every=30s,for=2s)", "burst(base=100,peak=1000,every=30s,for=2s)"),
        ("0..10/10s@10s,10", "0..10/10s,10"),
        ("0..10/10s@5s,10", "0..10/10s@5s,10"),
    ],
)
def test_many_spellings_have_one_expression(text: str, expression: str) -> None:
    assert parse_profile(text).expression == expression


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_a_canonical_expression_reads_as_itself(text: str) -> None:
    assert parse_profile(text).expression == text
    assert join_parts(parse_parts(text)) == text


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"trace"}))
def test_an_error_of_a_function_shows_how_it_is_written(kind: str) -> None:
    example = KINDS[kind].example
    with pytest.raises(UsageError, match=re.escape(f"as in {example}")):
        parse_profile(f"{kind}(x)")
    assert parse_parts(parse_profile(example).expression) == parse_parts(example)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"a rate is missing here, as in 200 \(at character 1\)"),
        ("fast", r"'fast' is not a rate.*\(at character 1\)"),
        ("100,200", r"'100' needs a length, as in 100@30s \(at character 1\)"),
        ("100@soon,200", r"'soon' is not a duration.*\(at character 5\)"),
        ("100@30s,,5", r"a rate is missing here.*\(at character 9\)"),
        ("5@3s@4s", r"two lengths \(at character 5\)"),
        ("100..", r"needs an end and a duration, as in 100..1000/60s \(at character 4\)"),
        ("5@3s,100..200", r"needs a duration, as in 100..200/60s \(at character 11\)"),
        ("100..200/s", r"needs a duration.*\(at character 6\)"),
        ("..5/3s", r"'' is not a rate.*\(at character 1\)"),
        ("100..200/0s", r"a ramp's duration must be between 1 ns and 1e12 s"),
        ("1..9999999999999/1s", "at most 1e12 a second"),
        (f"{'9' * 400}", "at most 1e12 a second"),
        (f"5@{'9' * 400}s,3", "must be at most 1e12 s"),
        ("sine(mean=300", r"this parenthesis is not closed \(at character 5\)"),
        ("sine mean=300)", r"closes nothing \(at character 14\)"),
        ("5@1s,sin(mean=3)", r"no profile 'sin': did you mean sine\? \(at character 6\)"),
        ("(100)", "no profile ''"),
        ("wave(a=1)", "choose from constant, ramp, sine, burst, trace"),
        ("sine(mean=300)", r"sine needs amp, period as well, as in sine\("),
        ("sine(mean=300,mean=2)", r"'mean' is given twice \(at character 15\)"),
        ("sine(mean=300,200)", r"'200' is not key=value.*\(at character 15\)"),
        ("sine(mean=3,amp=2,period=1s,amplitude=3)", "sine has no 'amplitude': it takes mean"),
        ("sine(mean=3,amp=4,period=1s)", "amp, 4, must not exceed its mean, 3"),
        ("sine(mean=0,amp=0,period=1s)", "mean must be more than 0"),
        ("sine(mean=3,amp=1,period=0s)", "period must be between"),
        ("sine(mean=3,amp=1,period=9s,phase=1)", "phase is a part of a period"),
        ("sine(mean=3,amp=1,period=9s,phase=x)", "phase is a number, not 'x'"),
        ("burst(base=9,peak=3,every=3s,for=1s)", "no less than its base"),
        ("burst(base=0,peak=0,every=3s,for=1s)", "more than 0"),
        ("burst(base=0,peak=3,every=3s,for=3s)", "shorter than its every"),
        ("trace()", "no such file"),
        ("trace(nowhere.csv)", "'nowhere.csv': there is no such file"),
        ('trace("x\\q")', "is not a JSON string"),
        ('trace("x', r"this quote is not closed \(at character 7\)"),
        ("trace(x,scale=big)", "scale is a number, not 'big'"),
        ("trace(x,scale=0)", "scale must be more than 0"),
        ("trace(a\0b)", "trace"),
    ],
)
def test_errors_name_the_part_and_its_place(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        parse_profile(text)
    assert str(caught.value).startswith("profile ")
    assert "(at character" in str(caught.value)


def check_read(text: str) -> None:
    """Any text is a profile or a UsageError, and a profile's expression gives it back."""
    message = ""
    try:
        profile = parse_profile(text)
    except UsageError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
    if message:
        return
    again = parse_profile(profile.expression)
    assert again.expression == profile.expression
    u = np.linspace(0, min(2 * profile.integral(100.0) + 1, 1e15), 50)
    times = profile.inverse(u)
    assert np.array_equal(times, again.inverse(u))
    assert not np.isnan(times).any()


@settings(max_examples=400)
@given(st.text())
@example("٣..٤/١s")
@example("trace(/dev/zero)")
@example("trace(\ud800)")
@example('trace("\\ud800")')
def test_any_text_is_a_profile_or_a_usage_error(text: str) -> None:
    check_read(text)


@settings(max_examples=1000)
@given(st.lists(ALPHABET, max_size=16).map("".join))
def test_any_words_of_the_language_are_a_profile_or_a_usage_error(text: str) -> None:
    check_read(text)


@settings(max_examples=400)
@given(st.sampled_from(EXPRESSIONS), st.integers(0, 60), st.integers(0, 5), st.text(max_size=3))
def test_any_damage_gives_a_profile_or_a_usage_error(
    text: str, place: int, cut: int, added: str
) -> None:
    check_read(text[:place] + added + text[place + cut :])


@pytest.mark.parametrize(
    "name",
    [
        "rates.csv",
        "a b.csv",
        "a,b.csv",
        "odd (1).csv",
        'say "hi".csv',
        " x",
        "ü=?&@..csv",
        "2\nlines",
    ],
)
def test_file_names_survive(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("t_s,rate\n0,5\n")
    profile = parse_profile(f"trace({json.dumps(str(file))})@3s,trace({json.dumps(str(file))})")
    assert parse_profile(profile.expression).expression == profile.expression
    assert profile.rate(1) == 5


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1@1s," * 100_000 + "1", "a profile of 500,001 characters is too long"),
        ("1@1s," * 1000 + "1", "a profile of 1,001 parts is too long"),
        ("1@1s," * 900 + "x", r"profile '….*x…': .* \(at character 4501\)"),
    ],
)
def test_a_long_profile_is_refused_in_a_short_line(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as raised:
        parse_profile(text)
    assert len(str(raised.value)) < 400
