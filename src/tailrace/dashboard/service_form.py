"""The form of a service: a dialog with a field for each setting of a ServiceConfig.

The dialog is the browser's own, which keeps the keyboard within and closes with Escape. What is
typed stays in the browser until the controller has taken it.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from nicegui import Client, events, ui

from tailrace.control.config import ServiceConfig
from tailrace.control.interface import LoadControl, ServiceInfo
from tailrace.dashboard.frame import attempt, button
from tailrace.dashboard.sketch import Drawing
from tailrace.errors import TailraceError, UsageError
from tailrace.load.config import GROUPS, JUDGING, LOAD, SERVICE, LoadConfig
from tailrace.load.settings import Setting, SettingError, settings_of
from tailrace.units import parse_duration_s
from tailrace.view.markup import Value, h

FIELDS = settings_of(ServiceConfig)
_OPEN = (SERVICE, LOAD, JUDGING)
"""Groups whose fields are seen at once; the others are opened by who needs them."""
_NOT_ASKED = "-"
"""What stands for a metrics URL that is not asked: an empty field is the default."""


_TEXT: dict[str, Value] = {"type": "text", "maxlength": 4000}
_MORE: dict[str, dict[str, Value]] = {
    "lines": {"rows": 2},
    "number": {"type": "number", "min": 0, "step": 1},
    "flag": {"type": "checkbox", "value": "yes"},
}


def read_config(typed: Mapping[str, str]) -> ServiceConfig:
    """The configuration that is typed, by the fields' names; an empty field is its default.

    Raises:
        SettingError: one cannot be read.
    """
    given: dict[str, Any] = {
        # Spaces of a text are its own.
        name: text if field.kind == "lines" else text.strip()
        for name, field in FIELDS.items()
        if (text := typed.get(name, "")).strip()
    }
    if given.get("metrics_url") == _NOT_ASKED:
        given["metrics_url"] = ""
    return ServiceConfig.of(given.pop("url", ""), **given)


def show_config(config: ServiceConfig) -> dict[str, str]:
    """What is to stand in the fields, by their names."""
    shown = {name: field.show(getattr(config, name)) for name, field in FIELDS.items()}
    return shown | ({"metrics_url": _NOT_ASKED} if config.metrics_url == "" else {})


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
            with ui.element("h2"):
                ui.element("span").props("id=service-dialog-title")
            for title, fields in _groups():
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

    def _group(self, title: str, fields: Sequence[Setting]) -> None:
        tag, head = ("fieldset", "legend") if title in _OPEN else ("details", "summary")
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
        self._open("Add a service", ServiceConfig(id="", url=""))

    async def change(self, service_id: str) -> None:
        """Open it with the configuration of a service, to be changed."""

        async def opened() -> None:
            config = await self._control.config(service_id)
            self._save = self._control.change
            self._open(f"Change {config.name or config.id}", config)

        await attempt(self._client, opened())

    def _open(self, title: str, config: ServiceConfig) -> None:
        self._tell("fill", title, show_config(config), ["id"] if config.id else [])

    def _tell(self, act: str, *given: object) -> None:
        told = ",".join(map(json.dumps, given))
        self._client.run_javascript(f"tailrace.dialog.{act}({told})")

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
        except SettingError as error:
            reason = error.worded(lambda name: FIELDS[name].label)
            self._tell("fail", reason, error.names[0])
        except TailraceError as error:
            self._tell("fail", str(error), None)
        else:
            self._tell("close")


def _groups() -> Iterator[tuple[str, list[Setting]]]:
    """Each group's title and its fields, those of a service's own first."""
    for group in GROUPS:
        fields = [field for field in FIELDS.values() if field.group == group]
        yield group, sorted(fields, key=lambda field: field.name in LoadConfig.__struct_fields__)


def _field(field: Setting) -> None:
    name = f"field-{field.name}"
    many = field.kind in ("lines", "texts", "headers")
    kind = "lines" if many else "number" if field.kind == "count" else field.kind
    control = h(
        "textarea" if many else "select" if field.choices else "input",
        [h("option", value=choice, label=choice) for choice in field.choices],
        id=name,
        name=field.name,
        data_testid=name,
        autocomplete="off",
        spellcheck="false",
        aria_describedby=f"{name}-hint",
        placeholder=field.unset or None,
        required=field.required,
        aria_required="true" if field.required else None,
        **_MORE.get(kind, {} if field.choices else _TEXT),
    )
    label = h("label", field.label, for_=name)
    hint = h("div", field.help, class_="hint", id=f"{name}-hint")
    ui.html(label + control + hint, sanitize=False).classes(f"field field-{kind} {name}")
