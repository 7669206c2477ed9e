"""HTML and SVG from functions: text is escaped unless it is markup already. A page that is one
document, and the files that any page is made of.
"""

import re
import secrets
from collections.abc import Iterable, Sequence
from html import unescape
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from tailrace import __version__
from tailrace.plain import as_html

STATIC = Path(__file__).with_name("static")

MODULES = {"tailrace-timeline": STATIC / "timeline"}
"""Folders of modules; the `index.js` of each is what its bare name stands for."""

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


_MARK = (STATIC / "mark.svg").read_text("utf-8")
FAVICON = "data:image/svg+xml," + quote(_MARK)
_SUN_AND_MOON = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><g class="sun"><circle cx="12" cy="12" r="4.2"/>'
    '<path d="M12 3v2.2M12 18.8V21M3 12h2.2M18.8 12H21M5.6 5.6l1.6 1.6M16.8 16.8l1.6 1.6'
    'M18.4 5.6l-1.6 1.6M7.2 16.8l-1.6 1.6"/></g>'
    '<path class="moon" d="M19.5 14.2A8 8 0 0 1 9.8 4.5a8 8 0 1 0 9.7 9.7Z"/></svg>'
)
_THEME = (STATIC / "theme.js").read_text("utf-8")
"""At once, so that nothing flashes up in the other theme."""

THEME_SWITCH = h(
    "button",
    Markup(_SUN_AND_MOON),
    class_="icon",
    type="button",
    aria_label="Switch the theme",
    data_testid="theme",
)
SIGN = h("span", Markup(_MARK), class_="mark", aria_hidden="true")


def document(
    title: str,
    body: Content,
    *,
    styles: Sequence[str],
    scripts: Sequence[str] = (),
    same_site: bool = False,
) -> str:
    """The HTML of a page with `styles`; `scripts` run once all of `body` is there.

    Its policy lets nothing else run and nothing be fetched or sent; where it comes from a server,
    `same_site` allows requests and forms to that one.
    """
    nonce = secrets.token_urlsafe(12)
    own = "'self'" if same_site else "'none'"
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}' blob:; style-src 'unsafe-inline'; "
        f"img-src data: blob:; base-uri 'none'; connect-src {own}; form-action {own}"
    )

    def script(text: str) -> Markup:
        return h("script", Markup(text), nonce=nonce)

    page = h(
        "html",
        h(
            "head",
            h("meta", charset="utf-8"),
            h("meta", http_equiv="Content-Security-Policy", content=policy),
            h("meta", name="viewport", content="width=device-width, initial-scale=1"),
            h("meta", name="generator", content=f"Tailrace {__version__}"),
            h("title", title),
            h("link", rel="icon", href=FAVICON),
            h("style", Markup("\n".join(styles))),
            script(_THEME),
        ),
        h("body", body, [script(text) for text in scripts]),
        lang="en",
        data_theme="light",
    )
    return join([Markup("<!doctype html>\n"), page, Markup("\n")])
