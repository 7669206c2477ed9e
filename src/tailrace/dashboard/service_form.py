"""The form of a service: what is typed in its fields as a ServiceConfig and back.

Its fields are the settings of a ServiceConfig, in their groups.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tailrace.control.config import ServiceConfig
from tailrace.errors import UsageError
from tailrace.load.config import GROUPS, JUDGING, LOAD, SERVICE, LoadConfig
from tailrace.load.settings import Setting, SettingError, settings_of

FIELDS = settings_of(ServiceConfig)
OPEN = (SERVICE, LOAD, JUDGING)
"""Groups whose fields are seen at once; the others are opened by who needs them."""
_NOT_ASKED = "-"
"""What stands for a metrics URL that is not asked: an empty field is the default."""


class FieldError(UsageError):
    """What is typed in one field cannot be read."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        """Its name."""


def groups() -> Iterator[tuple[str, list[Setting]]]:
    """Each group's title and its fields, those of a service's own first."""
    for group in GROUPS:
        fields = [field for field in FIELDS.values() if field.group == group]
        yield group, sorted(fields, key=lambda field: field.name in LoadConfig.__struct_fields__)


def read_config(typed: Mapping[str, str]) -> ServiceConfig:
    """The configuration that is typed, by the fields' names; an empty field is its default.

    Raises:
        FieldError: one cannot be read.
    """
    given: dict[str, Any] = {
        # Spaces of a text are its own.
        name: text if field.kind == "lines" else text.strip()
        for name, field in FIELDS.items()
        if (text := typed.get(name, "")).strip()
    }
    if given.get("metrics_url") == _NOT_ASKED:
        given["metrics_url"] = ""
    try:
        return ServiceConfig.of(given.pop("url", ""), **given)
    except SettingError as error:
        reason = error.worded(lambda name: FIELDS[name].label)
        raise FieldError(error.names[0], reason) from None


def show_config(config: ServiceConfig) -> dict[str, str]:
    """What is to stand in the fields, by their names."""
    shown = {name: field.show(getattr(config, name)) for name, field in FIELDS.items()}
    return shown | ({"metrics_url": _NOT_ASKED} if config.metrics_url == "" else {})
