"""The dialogs in which a run or search is named, annotated, and deleted."""

import json

from nicegui import Client, events, ui

from tailrace.control.interface import LoadControl, RunInfo, SearchInfo
from tailrace.dashboard.dialogs import CLOSE, dialog
from tailrace.dashboard.frame import attempt, button
from tailrace.errors import TailraceError


class RunDialogs:
    """Of one run or search, in the current slot of its page."""

    def __init__(self, control: LoadControl, client: Client, info: RunInfo | SearchInfo) -> None:
        self._control = control
        self._client = client
        self._info = info
        with dialog("label-dialog"), ui.element("form").props("novalidate") as form:
            with ui.element("h2"):
                ui.element("span").props("id=label-dialog-title")
            with ui.element("div").classes("field"):
                _label("label-title", "Title")
                ui.element("input").props(
                    "id=label-title name=title type=text maxlength=200 autocomplete=off "
                    "data-testid=label-title"
                )
            with ui.element("div").classes("field"):
                _label("label-note", "Note")
                ui.element("textarea").props(
                    "id=label-note name=note rows=5 maxlength=10000 data-testid=label-note"
                )
            with ui.element("div").classes("dialog-buttons"):
                ui.element("p").classes("form-error").props("role=alert tabindex=-1")
                button("Cancel").on("click", js_handler=CLOSE)
                button("Save", "primary").props("type=submit data-testid=label-save")
        form.on("submit", self._on_submit, js_handler="e => emit(tailrace.dialog.typed(e))")
        with dialog("delete-dialog"):
            with ui.element("h2"):
                ui.label(f"Delete {info.title or info.name}?").props("id=delete-dialog-title")
            ui.label("Its directory is deleted, with all of its files.").classes("hint")
            with ui.element("div").classes("dialog-buttons"):
                button("Keep it").props("autofocus").on("click", js_handler=CLOSE)
                button("Delete", "danger").props("data-testid=delete-really").on(
                    "click", self._on_delete, []
                )

    def buttons(self) -> None:
        """Build, in the current slot, the buttons that open them."""
        button("Name and note").props("data-testid=label").on("click", self._edit, [])
        if not isinstance(self._info, RunInfo) or self._info.state != "running":
            button("Delete").props("data-testid=delete").on(
                "click", js_handler="() => tailrace.dialog.open('delete-dialog')"
            )

    def _edit(self) -> None:
        values = json.dumps({"title": self._info.title, "note": self._info.note})
        title = json.dumps(f"Name and note of {self._info.name}")
        self._client.run_javascript(f"tailrace.dialog.fill('label-dialog', {title}, {values}, [])")

    async def _on_submit(self, event: events.GenericEventArguments) -> None:
        typed = event.args
        try:
            await self._control.label_run(
                self._info.name, title=str(typed.get("title", "")), note=str(typed.get("note", ""))
            )
        except TailraceError as error:
            self._client.run_javascript(
                f"tailrace.dialog.fail('label-dialog', {json.dumps(str(error))}, null)"
            )
        else:
            self._client.run_javascript("location.reload()")

    async def _on_delete(self) -> None:
        if await attempt(self._client, self._control.delete_run(self._info.name)):
            self._client.run_javascript("location.assign('/runs')")
        else:
            self._client.run_javascript("tailrace.dialog.close('delete-dialog')")


def _label(of: str, text: str) -> None:
    with ui.element("label").props(f"for={of}"):
        ui.label(text)
