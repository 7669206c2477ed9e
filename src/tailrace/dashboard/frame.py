"""What stands around every page: header with the way to the others, theme switch, footer."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Literal

from nicegui import Client, ui
from nicegui.element import Element

import tailrace
from tailrace.dashboard import assets
from tailrace.dashboard.login import cookie_name
from tailrace.errors import TailraceError
from tailrace.view.static_files import MARK, SUN_AND_MOON

TITLE = "Tailrace control room"

Place = Literal["services", "runs"]

_PLACES: tuple[tuple[Place, str], ...] = (("services", "Services"), ("runs", "Runs"))

_SCRIPTS = ("page.js", "dialog.js", "overview.js")


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
    with ui.element("a").classes("skip").props("href=#main"):
        ui.label("Skip to the content")
    with ui.element("header").props("role=banner"):
        with ui.element("a").classes("brand").props("href=/"):
            ui.html(MARK, sanitize=False).classes("mark").props("aria-hidden=true")
            ui.label("Tailrace")
        _navigation(active)
        if cookie_name(client.request.scope) in client.request.cookies:
            _log_out()
        _theme_switch()
    with ui.element("main").props("id=main tabindex=-1"):
        yield
    _footer()


def missing(client: Client, what: str, name: str, place: Place) -> None:
    """Build the page that says, with status 404, that there is no `what` of that name."""
    client.status_code = 404
    with (
        frame(client, "Not here", active=place),
        ui.element("section").classes("card missing").props("data-testid=missing"),
    ):
        with ui.element("h1"):
            ui.label(f"There is no {what} {name!r}")
        ui.label("It may have been removed, or its address was mistyped.").classes("hint")
        ui.link(f"All {place}", f"/{place}").classes("button primary")


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


def _head() -> None:
    scripts = [f'<script src="{url}"></script>' for url in map(assets.address, _SCRIPTS)]
    styles = [f'<link rel="stylesheet" href="{url}">' for url in assets.styles()]
    about = '<meta name="description" content="Tail latency under open-loop load, live">'
    ui.add_head_html("".join([*scripts, *styles, about]))


def _navigation(active: Place | None) -> None:
    with ui.element("nav").props("aria-label=Pages"):
        for place, label in _PLACES:
            link = ui.link(label, f"/{place}").props(f"data-testid=to-{place}")
            if place == active:
                link.props("aria-current=page")
        ui.link("REST interface", "/docs")


def _log_out() -> None:
    with ui.element("form").props("method=post action=/logout"):
        button("Log out", "plain").props("type=submit data-testid=log-out")


def _theme_switch() -> None:
    with (
        ui.element("button")
        .classes("icon theme-switch")
        .props('type=button aria-label="Switch the theme" data-testid=theme')
        .on("click", js_handler="() => tailrace.switchTheme()")
    ):
        ui.html(SUN_AND_MOON, sanitize=False)


def _footer() -> None:
    with ui.element("footer").props("role=contentinfo"):
        ui.label(
            "Latency is counted from the instant a request was meant to leave, so a slow service "
            "cannot hide behind late requests."
        )
        ui.label(f"Tailrace {tailrace.__version__}").classes("version")
