from hypothesis import given
from hypothesis import strategies as st

from tailrace.view.markup import Markup, h, join


def test_an_element_has_attributes_and_content() -> None:
    made = h("p", "a", h("b", "c"), class_="x", data_y=3, hidden=True, title=None, open=False)
    assert made == '<p class="x" data-y="3" hidden>a<b>c</b></p>'
    assert h("br") == "<br>"


def test_nothing_and_lists_can_stand_in_an_element() -> None:
    assert h("ul", [h("li", str(n)) for n in range(2)], None) == "<ul><li>0</li><li>1</li></ul>"


@given(st.text())
def test_text_and_values_are_escaped(text: str) -> None:
    made = h("p", text, title=text)
    assert made.count("<") == made.count(">") == 2
    assert made.count('"') == 2


def test_markup_is_not_escaped_twice() -> None:
    assert join([Markup("<br>"), "<br>"]) == "<br>&lt;br&gt;"
