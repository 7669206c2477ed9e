"""HTML and SVG from functions: text is escaped unless it is markup already."""

import re
from collections.abc import Iterable
from html import unescape
from typing import TypeAlias

from tailrace.plain import as_html

_TAG = re.compile("<[^>]*>")
_VOID = {"br", "img", "input", "link", "meta"}


class Markup(str):
    """Text that is HTML or SVG, and safe to be put into a page as it is."""

    __slots__ = ()


Content: TypeAlias = "str | Iterable[Content] | None"
"""What can stand in an element: text, markup, nothing, or any number of these."""
Value: TypeAlias = str | float | bool | None


def h(tag: str, *content: Content, **attributes: Value) -> Markup:
    """An element. `class_` is the attribute class, `data_x` is data-x; those that are None or False
    are left out, and True is one without a value.
    """
    said = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{said}>")
    return Markup(f"<{tag}{said}>{join(content)}</{tag}>")


def join(content: Content) -> Markup:
    """`content` in one piece."""
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(as_html(content))
    return Markup("".join(map(join, content)))


def text_of(content: Content) -> str:
    """What a person reads of `content`, without its markup."""
    return " ".join(unescape(_TAG.sub(" ", join(content))).split())


def _attribute(name: str, value: Value) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{as_html(str(value))}"'
