"""How the help of every command is laid out: panels of options, paragraphs, flags."""

from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption


class Command(TyperCommand):
    """A command whose help wraps whole paragraphs, and shows no kind of value for flags."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        super().__init__(name, **_unwrapped(settings))

    def get_params(self, ctx: Any) -> Any:
        """The parameters, as typer has them."""
        return _bare_flags(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands, the same way."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**_unwrapped(settings))

    def get_params(self, ctx: Any) -> Any:
        """The parameters, as typer has them."""
        return _bare_flags(super().get_params(ctx))


def _unwrapped(settings: dict[str, Any]) -> dict[str, Any]:
    # A docstring's lines end where the source's do, not the terminal's.
    paragraphs = (settings.get("help") or "").split("\n\n")
    return {**settings, "help": "\n\n".join(" ".join(each.split()) for each in paragraphs)}


def _bare_flags(params: list[Any]) -> list[Any]:
    for each in params:
        if isinstance(each, TyperOption) and each.is_flag:
            each.metavar = ""
    return params
