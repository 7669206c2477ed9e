from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.plain import MOST, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("infer, [/red] <b>&amp;</b> _é 模型 🙂", "infer, [/red] <b>&amp;</b> _é 模型 🙂"),
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("a\x9b31mb\x7f\0", r"a\x9b31mb\x7f\x00"),
        ("\u202eexe.txt\u2066\u200f\ufeff", r"\u202eexe.txt\u2066\u200f\ufeff"),
        ("\ud800\uffff", r"\ud800\uffff"),
        ("one\r\ntwo\tthree\u2028four\xa0five", "one  two three four five"),
        ("", ""),
    ],
)
def test_text_is_shown_and_nothing_else(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(st.characters(), max_size=50), st.integers(1, 60))
def test_of_any_text(text: str, most: int) -> None:
    shown = plain(text, most)
    assert len(shown) <= most
    assert shown.isprintable()
    assert plain(shown, most) == shown
    element = ET.Element("text")
    element.text = shown
    assert ET.fromstring(ET.tostring(element)).text == (shown or None)


def test_long_text_is_cut() -> None:
    assert plain("x" * MOST) == "x" * MOST
    assert plain("abcdefghijk", 10) == "abcdef…ijk"
    assert plain("abc", 1) == "…"
    assert plain("\x1b" * 10**7, 10) == r"\x1b\x…x1b"
