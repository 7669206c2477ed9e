"""What stands around every page: header with the way to the others, theme switch, footer."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from nicegui import Client, ui
from nicegui.element import Element
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

import tailrace
from tailrace.control.faces.rest import NO_STORE
from tailrace.dashboard.login import cookie_name
from tailrace.errors import TailraceError
from tailrace.report.page import Frame, make_notice
from tailrace.units import NONE
from tailrace.view.markup import SIGN, THEME_SWITCH, Markup, h, join

TITLE = "Tailrace control room"

Place = Literal["services", "runs"]

_SCRIPTS = ("theme.js", "page.js", "dialog.js")
_PACKAGES = ("tailrace.dashboard", "tailrace.view")
_FOLDERS = [Path(str(files(package) / "static")) for package in _PACKAGES]
_FILES = sorted(path for folder in _FOLDERS for path in folder.rglob("*") if path.is_file())
_VERSION = sha256(b"".join(path.read_bytes() for path in _FILES)).hexdigest()[:12]
_STATIC = StaticFiles(packages=[(package, "static") for package in _PACKAGES])


@contextmanager
def frame(client: Client, title: str, active: Place | None = None) -> Iterator[None]:
    """Build the frame of a page and, within the context, what is in it.

    Every page makes its own level 1 heading. `title` is for the browser's tab; `active` says which
    of the places in the header this is.
    """
    client.title = f"{title} · {TITLE}"
    _head()
    # Quasar's page is a main landmark around header and footer too; ours is the one that counts.
    client.page_container.default_slot.children[0].props("role=presentation")
    ui.html(header(client.request, active), sanitize=False)
    with ui.element("main").props("id=main tabindex=-1"):
        yield
    _footer()


def header(request: Request, active: Place | None) -> Markup:
    """The header, as HTML; it is that of `active`, and lets who logged in log out."""
    places = []
    for place in get_args(Place):
        current = "page" if place == active else None
        attributes = {"href": f"/{place}", "data_testid": f"to-{place}", "aria_current": current}
        places.append(h("a", place.capitalize(), **attributes))
    logged_in = cookie_name(request.scope) in request.cookies
    leave = h("button", "Log out", type="submit", class_="button plain", data_testid="log-out")
    log_out = h("form", leave, method="post", action="/logout")
    return join(
        [
            h("a", "Skip to the content", class_="skip", href="#main"),
            h(
                "header",
                h("a", SIGN, h("span", "Tailrace"), class_="brand", href="/"),
                h("nav", places, h("a", "REST interface", href="/docs"), aria_label="Pages"),
                log_out if logged_in else None,
                THEME_SWITCH,
                role="banner",
            ),
        ]
    )


def missing(request: Request, what: str, name: str, place: Place) -> HTMLResponse:
    """The page that says, with status 404, that there is no `what` of that name."""
    content = h(
        "section",
        h("h1", f"There is no {what} {name!r}"),
        h("p", "It may have been removed, or its address was mistyped.", class_="hint"),
        h("a", f"All {place}", href=f"/{place}", class_="button primary"),
        class_="card missing",
        data_testid="missing",
    )
    return answer_page(make_notice("Not here", content, Frame(header(request, place), None)), 404)


def answer_page(html: str, status: int = 200) -> HTMLResponse:
    """A page that is one document, whose policy is in it, stricter than that of live pages."""
    policy = {"Content-Security-Policy": "frame-ancestors 'none'"}
    return HTMLResponse(html, status, {**NO_STORE, **policy})


async def attempt(client: Client, request: Awaitable[object]) -> bool:
    """Await what a person asked for; an error of the family is shown to them. Whether it worked."""
    try:
        await request
    except TailraceError as error:
        if not client.is_deleted:
            with client:
                # Quasar's own colours of text are !important; a name that it lacks leaves ours.
                ui.notify(
                    str(error),
                    icon="warning",
                    position="bottom",
                    close_button="Dismiss",
                    textColor="ours",
                )
        return False
    return True


def button(text: str, look: str = "") -> Element:
    """A button; `look` is one of the style sheet's: primary, danger, plain."""
    with ui.element("button").classes(f"button {look}").props("type=button") as made:
        ui.label(text)
    return made


def pair(label: str, name: str) -> ui.label:
    """An entry of a list of figures: its label, and what is to say the figure, for tests `name`."""
    with ui.element("div"):
        with ui.element("dt"):
            ui.label(label)
        with ui.element("dd"):
            return ui.label(NONE).props(f"data-testid={name}")


def set_prop(element: Element, name: str, value: object) -> None:
    """Give `element` a property; the browser is told only of another value."""
    if element.props.get(name) != value:
        element.props[name] = value


async def serve_static(path: str, request: Request) -> Response:
    """The file at `path` below /static; one asked for by its version is kept for a year. Others are
    kept but asked for again: modules that import one another name no version.
    """
    answer = await _STATIC.get_response(path, request.scope)
    is_versioned = request.query_params.get("v") == _VERSION
    kept = "public, max-age=31536000, immutable" if is_versioned else "no-cache"
    answer.headers["Cache-Control"] = kept
    return answer


def _head() -> None:
    # The page's own style sheet comes first: the others refine it.
    sheets = sorted({path.name for path in _FILES if path.suffix == ".css"} - {"page.css"})
    styles = [f'<link rel="stylesheet" href="{_address(name)}">' for name in ("page.css", *sheets)]
    scripts = [f'<script src="{_address(name)}"></script>' for name in _SCRIPTS]
    about = '<meta name="description" content="Tail latency under open-loop load, live">'
    ui.add_head_html("".join([*scripts, *styles, about]))


def _address(name: str) -> str:
    return f"/static/{name}?v={_VERSION}"


def _footer() -> None:
    with ui.element("footer").props("role=contentinfo"):
        ui.label(
            "Latency is counted from the instant a request was meant to leave, so a slow service "
            "cannot hide behind late requests."
        )
        ui.label(f"Tailrace {tailrace.__version__}").classes("version")
