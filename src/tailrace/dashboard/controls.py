"""Start, Stop, a search, the rate (a slider of sensible steps, a field for others), the profile."""

import contextlib
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import Client, events, ui

from tailrace.control.interface import LoadControl, ServiceInfo, UnknownServiceError
from tailrace.dashboard.feed import Feed
from tailrace.dashboard.frame import attempt, button, pair
from tailrace.dashboard.sketch import MAX_LETTERS, Drawing
from tailrace.units import NONE, number

RATES: tuple[float, ...] = (
    *(0, 1, 2, 3, 4, 5, 6, 8),
    *(k * d for d in (10, 100, 1_000, 10_000) for k in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)),
    100_000,
)
"""The slider's steps, ten a decade."""
_LAST = len(RATES) - 1
_MARKED = (0, 10, 100, 1_000, 10_000, 100_000)

_HANDS_OFF_S = 0.5
"""How long after a person's last touch the inputs are left alone, so that nothing jumps back."""

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


def slider_position(rate_per_s: float) -> int:
    """The step nearest to `rate_per_s`."""
    above = min(bisect_left(RATES, rate_per_s), _LAST)
    return min((max(above - 1, 0), above), key=lambda at: abs(RATES[at] - rate_per_s))


class Controls:
    """The row of controls in one browser; `show` brings it up to the feed's state."""

    def __init__(self, control: LoadControl, feed: Feed, client: Client) -> None:
        self._control = control
        self._feed = feed
        self._client = client
        self._wanted: float | None = None
        self._applying = False
        self._touched_s = 0.0
        self._typing = False
        with ui.element("section").classes("card controls").props('aria-label="Controls"'):
            with ui.element("div").classes("controls-row"):
                with ui.element("div").classes("buttons"):
                    self._start = self._button("start", control.start)
                    self._stop = self._button("stop", control.stop)
                    self._find = self._button("find", self._search)
                    self._find.set_text("Find the rate")
                    self._find.props('title="Search for the highest rate within the SLO"')
                self._rate()
                with ui.element("dl").classes("reached").props("data-testid=reached"):
                    self._asked = pair("asked", "asked")
                    self._sent = pair("reached", "reached-rps")
            self._profile = ProfileRow(control, client, feed.service)

    def _button(self, name: str, act: Callable[[str], Awaitable[object]]) -> ui.button:
        async def pressed() -> None:
            await attempt(self._client, act(self._feed.service.id))

        button = ui.button(name.capitalize(), on_click=pressed, color=None)
        return button.props(f"unelevated no-caps data-testid={name}").classes(f"action {name}")

    async def _search(self, service_id: str) -> None:
        # The card shows how far it is, in every browser; it goes on without any.
        async with contextlib.aclosing(self._control.find(service_id)) as progress:
            async for _ in progress:
                pass

    def _rate(self) -> None:
        with ui.element("div").classes("rate"):
            with ui.element("div").classes("slider"):
                # The browser's own, which keyboards and screen readers know.
                self._slider = ui.element("input").props(
                    f"type=range min=0 max={_LAST} step=1 data-testid=rate-slider "
                    'aria-label="Rate, requests per second"'
                )
                self._slider.on(
                    "input",
                    self._on_slide,
                    js_handler="event => emit(tailrace.slide(event.target))",
                    throttle=0.05,
                )
                with ui.element("div").classes("scale").props("aria-hidden=true"):
                    for rate in _MARKED:
                        short = f"{rate / 1000:g}k" if rate >= 1000 else f"{rate:g}"
                        ui.label(short).style(f"--at: {slider_position(rate) / _LAST:.4f}")
            self._field = (
                ui.number(min=0, step=1, suffix="req/s")
                .props('outlined dense aria-label="Rate, requests per second" data-testid=rate')
                .classes("rate-field")
            )
            self._field.on("update:modelValue", partial(self._set_typing, True), [])
            self._field.on("change", self._on_field, [])
            self._field.on("blur", partial(self._set_typing, False), [])

    def show(self) -> None:
        """Bring the row up to the feed's state."""
        service, last = self._feed.service, self._feed.latest
        self._start.set_enabled(service.state == "idle")
        self._find.set_enabled(service.state == "idle")
        self._stop.set_enabled(service.state in ("starting", "running"))
        self._stop.set_text("Stopping…" if service.state == "stopping" else "Stop")
        self._asked.set_text(f"{_tidy(service.rate_per_s):,.10g}/s")
        is_live = service.state != "idle"
        self._sent.set_text(f"{number(last.rps)}/s" if last and is_live else NONE)
        if not self._typing and time.monotonic() > self._touched_s + _HANDS_OFF_S:
            self._set_inputs(service.rate_per_s)
        self._profile.show(service)

    def _set_inputs(self, rate_per_s: float) -> None:
        position = slider_position(rate_per_s)
        self._slider.props["value"] = position
        self._slider.style(f"--fill: {position / _LAST:.4f}")
        self._slider.props["aria-valuetext"] = f"{_tidy(rate_per_s):g} requests per second"
        self._field.set_value(_tidy(rate_per_s))

    async def _on_slide(self, event: events.GenericEventArguments) -> None:
        await self._want(RATES[int(event.args)])

    def _set_typing(self, is_typing: bool) -> None:
        self._typing = is_typing

    async def _on_field(self) -> None:
        self._typing = False
        value = self._field.value
        if value is None:
            self._set_inputs(self._feed.service.rate_per_s)
        elif value != _tidy(self._feed.service.rate_per_s):
            await self._want(float(value))

    async def _want(self, rate_per_s: float) -> None:
        """Apply the newest wish; those that came while one was being applied are skipped."""
        self._touched_s = time.monotonic()
        self._set_inputs(rate_per_s)
        self._wanted = rate_per_s
        if self._applying:
            return
        self._applying = True
        try:
            while self._wanted is not None:
                request = self._control.set_rate(self._feed.service.id, self._wanted)
                self._wanted = None
                if not await attempt(self._client, request):
                    self._set_inputs(self._feed.service.rate_per_s)
        finally:
            self._applying = False


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


def _tidy(rate: float) -> float:
    """As many digits as a person reads; a profile passes through all of them."""
    return round(rate, 2) or rate
