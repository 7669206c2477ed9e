"""The options of commands that put load on something, made from the settings of a run."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tailrace.errors import UsageError
from tailrace.load.config import GROUPS, JUDGING, LoadConfig
from tailrace.load.settings import Kind, Setting, SettingError, settings_of

_SETTINGS = settings_of(LoadConfig)
_METAVARS: dict[Kind, str] = {"count": "N", "seconds": "TIME", "file": "FILE"}
_WIDEST = 10**9
"""A range with a bound beyond it would take the help's room for words."""


def option_of(setting: Setting, show_default: str | bool = True) -> Any:
    """The option of a setting, as typer has them."""
    bounded = setting.kind == "count" and setting.le is not None and setting.le <= _WIDEST
    return typer.Option(
        setting.option,
        help=setting.off or setting.help,
        metavar=None if setting.choices else setting.metavar or _METAVARS.get(setting.kind),
        min=setting.ge if setting.kind == "count" else None,
        max=setting.le if bounded else None,
        show_default=show_default,
        rich_help_panel=None if setting.main else setting.group,
    )


Urls = Annotated[
    list[str], typer.Argument(metavar=_SETTINGS["url"].metavar, help=_SETTINGS["url"].help)
]
Insecure = Annotated[bool, option_of(_SETTINGS["verify"])]
CaCert = Annotated[Path | None, option_of(_SETTINGS["ca_file"])]
JUnit = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the outcome to this file as JUnit XML, for a pipeline.",
        rich_help_panel=JUDGING,
    ),
]
Markdown = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Append it to this file as Markdown, as $GITHUB_STEP_SUMMARY.",
        rich_help_panel=JUDGING,
    ),
]
Regression = Annotated[
    list[str] | None,
    typer.Option(
        metavar="BOUND",
        help="How much worse a run may be, as p99+10%, failed+0.5% or completed/s-5%; repeatable. "
        "Proven worse than that: exit 1.",
        rich_help_panel=JUDGING,
    ),
]


def with_settings(
    *, but: Collection[str] = (), unset: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command that takes `**given` gets an option for each setting of a run.

    Options stand by panels, those that most runs need first. Within a panel the settings come
    after the command's own parameters, but before those that it takes by name only.

    Args:
        but: settings that the command has otherwise, or not at all.
        unset: what holds where an option is not given, if it is not what the setting says.
    """

    def extended(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[:-1]
        made = [
            _parameter(each, (unset or {}).get(each.name, each.unset))
            for each in _SETTINGS.values()
            if each.option and each.name not in but
        ]
        early = [each for each in own if each.kind is not inspect.Parameter.KEYWORD_ONLY]
        late = [each for each in own if each.kind is inspect.Parameter.KEYWORD_ONLY]
        parameters = sorted(early + made + late, key=_rank)

        @wraps(command)
        def called(**given: Any) -> None:
            command(**given)

        del called.__wrapped__
        called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        )
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        return called

    return extended


def read_config(urls: list[str], given: Mapping[str, Any], **more: Any) -> LoadConfig:
    """The configuration that these options give.

    Raises:
        UsageError: one of them cannot be used; the message names it.
    """
    values = {**given, **more}
    for name, each in _SETTINGS.items():
        if each.kind == "flag" and each.default and name in values:
            values[name] = not values[name]
    text = values.get("text")
    if text is not None and text.startswith("@"):
        raise UsageError(f"--data is what to send itself: write --body {text[1:]}")
    with named():
        return LoadConfig.of(urls, **values)


@contextmanager
def named() -> Iterator[None]:
    """Name settings in errors by their options."""
    try:
        yield
    except SettingError as error:
        raise UsageError(error.worded(_option_named)) from None


def _option_named(name: str) -> str:
    setting = _SETTINGS.get(name)
    # What is no setting itself, but says one, as --rate.
    return f"--{name}" if setting is None else setting.option or setting.label


def note(text: str) -> None:
    """Say something that matters before a run, on stderr."""
    typer.echo(f"tailrace: note: {text}", err=True)


def _parameter(setting: Setting, unset: str) -> inspect.Parameter:
    kind: Any = str
    default: Any = None if setting.default is None else setting.show(setting.default)
    match setting.kind:
        case "count":
            kind, default = int, setting.default
        case "flag":
            kind, default = bool, False
        case "list" | "texts" | "headers":
            kind, default = list[str], None
        case _ if setting.choices:
            kind = Literal[setting.choices]
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[
            kind if default is not None else kind | None,
            option_of(setting, unset or default is not None),
        ],
    )


def _rank(parameter: inspect.Parameter) -> int:
    """Of its panel."""
    (about,) = parameter.annotation.__metadata__
    if isinstance(about, typer.models.ArgumentInfo):
        return -2
    panel = about.rich_help_panel
    return GROUPS.index(panel) + 1 if panel in GROUPS else 0 if panel else -1
