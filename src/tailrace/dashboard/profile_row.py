"""The profile of a service: typed as an expression, drawn as it is typed, then used."""

from functools import partial

from nicegui import Client, ui

from tailrace.control.interface import LoadControl, ServiceInfo, UnknownServiceError
from tailrace.dashboard.frame import attempt, button
from tailrace.dashboard.sketch import MAX_LETTERS, Sketch, sketch
from tailrace.errors import UsageError

EXAMPLES = {
    "Ramp": "{one:g}..{five:g}/60s",
    "Steps": "{one:g}@20s,{two:g}@20s,{five:g}@20s,{one:g}",
    "Sine": "sine(mean={two:g},amp={one:g},period=60s)",
    "Burst": "burst(base={one:g},peak={five:g},every=20s,for=2s)",
}
"""What a chip fills in, with multiples of the present rate."""


def example(kind: str, rate_per_s: float) -> str:
    """An expression of that kind of EXAMPLES that suits a service now at `rate_per_s`."""
    one = float(f"{rate_per_s:.2g}") or 50.0
    return EXAMPLES[kind].format(one=one, two=2 * one, five=5 * one)


class Drawing:
    """A profile's sketch with its figures, or the line that says why there is none."""

    def __init__(self) -> None:
        with ui.element("figure").classes("sketch").props("data-testid=sketch"):
            self._error = ui.label().classes("sketch-error").props("role=status data-testid=unread")
            self._svg = ui.html(sanitize=False).classes("sketch-line")
            with ui.element("dl").classes("sketch-figures") as self._figures:
                self._texts = {name: _pair(name) for name in ("peak", "mean", "over", "requests")}
        self._show(None)

    def draw(self, expression: str, duration_s: float | None) -> None:
        """Show `expression` over `duration_s`, or over its own parts where that is None."""
        try:
            drawn = sketch(expression, duration_s)
        except UsageError as error:
            self._error.set_text(str(error))
            self._show(None)
        else:
            self._show(drawn)

    def _show(self, drawn: Sketch | None) -> None:
        self._error.set_visibility(drawn is None)
        self._figures.set_visibility(drawn is not None)
        self._svg.set_visibility(drawn is not None)
        if drawn is not None:
            self._svg.set_content(drawn.svg)
            for name, label in self._texts.items():
                label.set_text(getattr(drawn, name))


class ProfileRow:
    """Below the row of controls; folded until somebody needs it."""

    def __init__(self, control: LoadControl, client: Client, service: ServiceInfo) -> None:
        self._control = control
        self._client = client
        self._service = service
        with ui.element("details").classes("profile").props("data-testid=profile-row") as row:
            with ui.element("summary"):
                ui.label("Profile").classes("heading")
                self._now = ui.label().classes("code").props("data-testid=profile-now")
                self._arrivals = ui.label().classes("hint").props("data-testid=arrivals")
            with ui.element("div").classes("profile-body"):
                self._entry()
                self._drawing = Drawing()
        row.on("toggle", self._draw, [])
        self.show(service)

    def _entry(self) -> None:
        with ui.element("div").classes("profile-entry"):
            self._input = (
                ui.input(value=self._service.profile, on_change=self._draw)
                .props(
                    'outlined dense aria-label="Profile expression" data-testid=profile '
                    f"spellcheck=false autocomplete=off maxlength={MAX_LETTERS}"
                )
                .classes("profile-input")
                .on("keydown.enter", self._use, [])
            )
            with ui.element("button").classes("button primary") as apply:
                self._apply = ui.label()
            apply.props("type=button data-testid=apply").on("click", self._use, [])
        with ui.element("div").classes("chips").props('role=group aria-label="Examples"'):
            for kind in EXAMPLES:
                button(kind, "chip").on("click", partial(self._fill, kind), [])

    def show(self, service: ServiceInfo) -> None:
        """Bring the row up to the service's state; what is typed and not used yet stays."""
        before, self._service = self._service, service
        self._now.set_text(service.profile)
        self._arrivals.set_text(f"{service.arrivals} arrivals")
        idle = service.state == "idle"
        self._apply.set_text("Use for next start" if idle else "Apply now")
        if service.profile != before.profile and self._input.value == before.profile:
            self._input.set_value(service.profile)

    def _fill(self, kind: str) -> None:
        self._input.set_value(example(kind, self._service.rate_per_s))

    async def _use(self) -> None:
        await attempt(
            self._client, self._control.set_profile(self._service.id, self._input.value or "")
        )

    async def _draw(self) -> None:
        try:
            duration_s = (await self._control.config(self._service.id)).duration_s
        except UnknownServiceError:
            return  # removed; the page says so
        self._drawing.draw(self._input.value or "", duration_s)


def _pair(name: str) -> ui.label:
    with ui.element("div"):
        with ui.element("dt"):
            ui.label(name)
        with ui.element("dd"):
            return ui.label().props(f"data-testid=sketch-{name}")
