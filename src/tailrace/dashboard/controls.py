"""Start, Stop, the rate (a slider of sensible steps, a field for any other number), the profile."""

import time
from bisect import bisect_left

from nicegui import Client, events, ui

from tailrace.control.interface import LoadControl
from tailrace.dashboard.feed import Feed
from tailrace.dashboard.frame import attempt
from tailrace.dashboard.profile_row import ProfileRow
from tailrace.units import NONE, number

RATES: tuple[float, ...] = (
    *(0, 1, 2, 3, 4, 5, 6, 8),
    *(k * d for d in (10, 100, 1_000, 10_000) for k in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)),
    100_000,
)
"""The slider's steps, ten a decade."""

_HANDS_OFF_S = 0.5
"""How long after a person's last touch the inputs are left alone, so that nothing jumps back."""

_MARKED = (0, 10, 100, 1_000, 10_000, 100_000)


def slider_position(rate_per_s: float) -> int:
    """The step nearest to `rate_per_s`."""
    above = min(bisect_left(RATES, rate_per_s), len(RATES) - 1)
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
                self._buttons()
                self._rate()
                self._reached()
            self._profile = ProfileRow(control, client, feed.service)

    def _buttons(self) -> None:
        with ui.element("div").classes("buttons"):
            self._start = (
                ui.button("Start", on_click=self._on_start, color=None)
                .props("unelevated no-caps data-testid=start")
                .classes("action start")
            )
            self._stop = (
                ui.button("Stop", on_click=self._on_stop, color=None)
                .props("unelevated no-caps data-testid=stop")
                .classes("action stop")
            )

    def _rate(self) -> None:
        with ui.element("div").classes("rate"):
            with ui.element("div").classes("slider"):
                # The browser's own, which keyboards and screen readers know.
                self._slider = ui.element("input").props(
                    f"type=range min=0 max={len(RATES) - 1} step=1 data-testid=rate-slider "
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
                        share = slider_position(rate) / (len(RATES) - 1)
                        ui.label(_short(rate)).style(f"--at: {share:.4f}")
            self._field = (
                ui.number(min=0, step=1, suffix="req/s")
                .props('outlined dense aria-label="Rate, requests per second" data-testid=rate')
                .classes("rate-field")
            )
            self._field.on("update:modelValue", self._on_typing, [])
            self._field.on("change", self._on_field, [])
            self._field.on("blur", self._on_left, [])

    def _reached(self) -> None:
        with ui.element("dl").classes("reached").props("data-testid=reached"):
            self._asked = _pair("asked", "asked")
            self._sent = _pair("reached", "reached-rps")

    def show(self) -> None:
        """Bring the row up to the feed's state."""
        service, last = self._feed.service, self._feed.latest
        self._start.set_enabled(service.state == "idle")
        self._stop.set_enabled(service.state in ("starting", "running"))
        self._stop.set_text("Stopping…" if service.state == "stopping" else "Stop")
        self._asked.set_text(f"{_tidy(service.rate_per_s):,.10g}/s")
        live = service.state != "idle" and last is not None
        self._sent.set_text(f"{number(last.rps)}/s" if live and last else NONE)
        if not self._typing and time.monotonic() > self._touched_s + _HANDS_OFF_S:
            self._set_inputs(service.rate_per_s)
        self._profile.show(service)

    def _set_inputs(self, rate_per_s: float) -> None:
        position = slider_position(rate_per_s)
        self._slider.props["value"] = position
        self._slider.style(f"--fill: {position / (len(RATES) - 1):.4f}")
        self._slider.props["aria-valuetext"] = f"{_tidy(rate_per_s):g} requests per second"
        self._field.set_value(_tidy(rate_per_s))

    async def _on_start(self) -> None:
        await attempt(self._client, self._control.start(self._feed.service.id))

    async def _on_stop(self) -> None:
        await attempt(self._client, self._control.stop(self._feed.service.id))

    async def _on_slide(self, event: events.GenericEventArguments) -> None:
        await self._want(RATES[int(event.args)])

    def _on_typing(self) -> None:
        self._typing = True

    def _on_left(self) -> None:
        self._typing = False

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


def _pair(label: str, name: str) -> ui.label:
    with ui.element("div"):
        with ui.element("dt"):
            ui.label(label)
        with ui.element("dd"):
            return ui.label(NONE).props(f"data-testid={name}")


def _short(rate: float) -> str:
    return f"{rate / 1000:g}k" if rate >= 1000 else f"{rate:g}"


def _tidy(rate: float) -> float:
    """As many digits as a person reads; a profile passes through all of them."""
    return round(rate, 2) or rate
