"""The card of a search on a service's page: how far it is, and its curve as it grows."""

from nicegui import ui

from tailrace.control.interface import Found, SearchProgress
from tailrace.dashboard.frame import set_prop
from tailrace.report.searched import picture
from tailrace.units import format_figure
from tailrace.view.markup import Markup, h
from tailrace.view.parts import listed


class SearchCard:
    """In one browser; not there before a search."""

    def __init__(self) -> None:
        self._drawn: Found | None = None
        self._card = ui.element("section").classes("card search").props("aria-labelledby=search")
        with self._card:
            with ui.element("h2").props("id=search"):
                ui.label("Highest rate within the SLO")
            self._status = ui.label().classes("hint").props("role=status data-testid=search-status")
            self._found = ui.html(sanitize=False).props("data-testid=search")

    def show(self, search: SearchProgress | None) -> None:
        """Bring the card up to a search's progress."""
        self._card.set_visibility(search is not None)
        if search is None:
            return
        if search.is_over:
            status = "kept under Runs"
        else:
            status = (
                f"{format_figure(search.rate_per_s)}/s, {search.doing}; {search.left_s:.0f} s left"
            )
        self._status.set_text(status)
        set_prop(self._card, "data-over", str(search.is_over).lower())
        if search.found is not self._drawn:
            self._drawn = search.found
            self._found.set_content(_words(search) + h("figure", picture(search.found)))


def _words(search: SearchProgress) -> Markup:
    found = search.found
    reason = found.reason if search.is_over else f"so far: {found.reason.partition(';')[0]}"
    lines = [h("p", line) for line in filter(None, (reason, found.certainty))]
    return h("div", lines, listed(found.findings, "notes"), class_="searched-words")
