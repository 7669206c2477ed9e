"""The form of a service, in a dialog.

This is the browser's own, which keeps the keyboard within and closes with Escape. What is typed
stays in the browser until the controller has taken it.
"""

import json
from collections.abc import Awaitable, Callable, Sequence

from nicegui import Client, events, ui

from tailrace.control.config import ServiceConfig
from tailrace.control.interface import LoadControl, ServiceInfo
from tailrace.dashboard.frame import attempt, button
from tailrace.dashboard.profile_row import Drawing
from tailrace.dashboard.service_form import OPEN, FieldError, groups, read_config, show_config
from tailrace.errors import TailraceError, UsageError
from tailrace.load.settings import Setting
from tailrace.units import parse_duration_s

_NEW = ServiceConfig(id="", url="")


class ServiceDialog:
    """The form in which a service is added or changed."""

    def __init__(self, control: LoadControl, client: Client) -> None:
        self._control = control
        self._client = client
        self._save: Callable[[ServiceConfig], Awaitable[ServiceInfo]] = control.add
        with (
            ui.element("dialog").props(
                "id=service-dialog aria-labelledby=service-dialog-title data-testid=service-dialog"
            ),
            ui.element("form").props("novalidate") as form,
        ):
            self._title()
            for title, fields in groups():
                self._group(title, fields)
            with ui.element("div").classes("dialog-buttons"):
                ui.element("p").classes("form-error").props("role=alert tabindex=-1")
                button("Cancel").on("click", js_handler="e => e.target.closest('dialog').close()")
                button("Save", "primary").props("type=submit data-testid=save")
        form.on(
            "input",
            self._on_input,
            throttle=0.1,
            js_handler="e => ['profile', 'duration_s'].includes(e.target.name) && "
            "emit(e.target.form.profile.value, e.target.form.duration_s.value)",
        )
        form.on("submit", self._on_submit, js_handler="e => emit(tailrace.dialog.typed(e))")

    def _title(self) -> None:
        with ui.element("h2"):
            ui.element("span").props("id=service-dialog-title")

    def _group(self, title: str, fields: Sequence[Setting]) -> None:
        tag, head = ("fieldset", "legend") if title in OPEN else ("details", "summary")
        with ui.element(tag).classes("fields"):
            with ui.element(head):
                ui.label(title)
            with ui.element("div").classes("field-grid"):
                for field in fields:
                    _field(field)
                    if field.name == "profile":
                        self._drawing = Drawing()

    def add(self) -> None:
        """Open it empty, for a service to be added."""
        self._save = self._control.add
        self._open("Add a service", _NEW)

    async def change(self, service_id: str) -> None:
        """Open it with the configuration of a service, to be changed."""

        async def opened() -> None:
            config = await self._control.config(service_id)
            self._save = self._control.change
            self._open(f"Change {config.name or config.id}", config)

        await attempt(self._client, opened())

    def _open(self, title: str, config: ServiceConfig) -> None:
        values = json.dumps(show_config(config))
        fixed = json.dumps(["id"] if config.id else [])
        self._client.run_javascript(
            f"tailrace.dialog.fill('service-dialog', {json.dumps(title)}, {values}, {fixed})"
        )

    def _on_input(self, event: events.GenericEventArguments) -> None:
        profile, duration = event.args
        try:
            duration_s = parse_duration_s(duration) if duration.strip() else None
        except UsageError:
            duration_s = None  # said when the form is sent
        self._drawing.draw(profile, duration_s)

    async def _on_submit(self, event: events.GenericEventArguments) -> None:
        try:
            await self._save(read_config(event.args))
        except TailraceError as error:
            field = error.field if isinstance(error, FieldError) else None
            answer = f"fail('service-dialog', {json.dumps(str(error))}, {json.dumps(field)})"
        else:
            answer = "close('service-dialog')"
        self._client.run_javascript(f"tailrace.dialog.{answer}")


def _field(field: Setting) -> None:
    name = f"field-{field.name}"
    many = field.kind in ("lines", "texts", "headers")
    kind = "lines" if many else "number" if field.kind == "count" else field.kind
    with ui.element("div").classes(f"field field-{kind} {name}"):
        with ui.element("label").props(f"for={name}"):
            ui.label(field.label)
        tag = "textarea" if many else "select" if field.choices else "input"
        control = ui.element(tag).props(
            f"id={name} name={field.name} data-testid={name} autocomplete=off spellcheck=false "
            f'aria-describedby="{name}-hint"'
        )
        with control:
            for choice in field.choices:
                ui.element("option").props(f"value={choice} label={choice}")
        if field.unset:
            control.props["placeholder"] = field.unset
        match kind:
            case "lines":
                control.props("rows=2")
            case "number":
                control.props("type=number min=0 step=1")
            case "flag":
                control.props("type=checkbox value=yes")
            case _ if not field.choices:
                control.props("type=text maxlength=4000")
        if field.required:
            control.props("required aria-required=true")
        ui.label(field.help).classes("hint").props(f"id={name}-hint")
