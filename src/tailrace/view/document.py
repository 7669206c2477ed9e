"""A page that is one document: it fetches no script, style or picture from anywhere."""

import secrets
from collections.abc import Sequence

from tailrace import __version__
from tailrace.view.markup import Content, Markup, h, join
from tailrace.view.static_files import FAVICON, MARK, STATIC, SUN_AND_MOON

_THEME = (STATIC / "theme.js").read_text("utf-8")
"""At once, so that nothing flashes up in the other theme."""

THEME_SWITCH = h(
    "button",
    Markup(SUN_AND_MOON),
    class_="icon",
    type="button",
    aria_label="Switch the theme",
    data_testid="theme",
)
SIGN = h("span", Markup(MARK), class_="mark", aria_hidden="true")


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
