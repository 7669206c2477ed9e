"""The machines of a fleet, a row each: what each does now, and which is lost."""

from nicegui import ui

from tailrace.load.measure.point import NodeFigures, Point
from tailrace.plain import as_html
from tailrace.units import format_clock, format_lag
from tailrace.view.words import number

_HEADS = (
    ("Node", "A machine that load workers run on."),
    ("Workers", "Load workers that are at work on it."),
    ("RPS", "Requests it sent in the last interval, a second."),
    ("Send lag p99", "Its own lateness in the last interval: sent − intended."),
    ("CPU", "Of one core, its load workers' together."),
    ("Clock within", "The most by which its idea of an instant of the run can be off."),
    ("Last seen", "Up to when it has reported, from the run's start."),
)


class FleetPanel:
    """A table of nodes; not there for a run on one machine."""

    def __init__(self) -> None:
        self._card = ui.element("section").classes("card fleet").props("aria-labelledby=fleet")
        with self._card:
            with ui.element("h2").props("id=fleet"):
                ui.label("Fleet")
            ui.label("in the last interval").classes("hint")
            self._table = ui.html(sanitize=False).classes("scroll").props("data-testid=fleet")
            self._table.props("tabindex=0 role=region aria-labelledby=fleet")

    def show(self, last: Point | None) -> None:
        """Show the nodes of the interval that ended last."""
        nodes = last.nodes if last is not None else {}
        self._card.set_visibility(bool(nodes))
        heads = "".join(
            f'<th scope="col" title="{as_html(about)}">{as_html(head)}</th>'
            for head, about in _HEADS
        )
        rows = "".join(_row(name, node) for name, node in nodes.items())
        self._table.set_content(
            f'<table class="stack"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        )


def _row(name: str, node: NodeFigures) -> str:
    lost = node.workers == 0
    cells = (
        str(node.workers),
        number(node.rps),
        format_lag(node.send_lag_p99_us),
        f"{number(node.cpu_percent)} %",
        f"{number(node.clock_error_ms)} ms",
        f"{'lost, ' if lost else ''}{format_clock(node.seen_s)}",
    )
    figures = "".join(
        f'<td data-head="{as_html(head)}">{as_html(cell)}</td>'
        for (head, _), cell in zip(_HEADS[1:], cells, strict=True)
    )
    state = "lost" if lost else "at-work"
    return f'<tr data-state="{state}"><th scope="row">{as_html(name)}</th>{figures}</tr>'
