"""One page a command, made from what its `--help` is made from."""

import re
from collections.abc import Iterator
from typing import Any

from rich.text import Text
from typer.main import get_command

from tailrace.cli import build

_HEAD = ("| name | meaning | default |", "| --- | --- | --- |")
_KINDS = {"str": "TEXT", "list[str]": "TEXT", "int": "N", "int range": "N", "float": "X"}
_KIND = re.compile(r"<([^>]+)>")
_OPTION = re.compile(r"(?<!\S)--[a-z-]+")
_NUMBER = r"[\d.]+"
_RANGE = re.compile(
    rf"(?P<above>{_NUMBER})<=x<=(?P<below>{_NUMBER})|x>=(?P<least>{_NUMBER})|x<=(?P<most>{_NUMBER})"
)
_EXTRAS = re.compile(
    r"(?:^|\s+)\[(?:default: (?P<default>\(.*\)|[^;\]]*))?(?:; )?"
    r"(?P<within>[^;\]]*x[<>]=[^;\]]*)?(?:; )?(?P<required>required)?\]$"
)


def names() -> list[str]:
    """Commands and groups of commands, in the order of `tailrace --help`."""
    return [name for name, command in _root().commands.items() if not command.hidden]


def page(name: str) -> str:
    """The Markdown page of a command; a group has a section for each of its commands."""
    command = _root().commands[name]
    lines = [f"# tailrace {name}", "", _paragraphs(command.help)]
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        lines += _command(f"tailrace {name}", command)
    else:
        for each, subcommand in subcommands.items():
            if not subcommand.hidden:
                path = f"tailrace {name} {each}"
                lines += ["", f"## {path}", "", _paragraphs(subcommand.help)]
                lines += _command(path, subcommand)
    return "\n".join([*lines, ""])


def _root() -> Any:
    return get_command(build())


def _command(path: str, command: Any) -> list[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    usage = " ".join([path, *_usage(command, context)])
    lines = ["", "```", usage, "```", *_examples(command.epilog)]
    panels: dict[str, list[str]] = {}
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is None or getattr(param, "hidden", False) or param.name == "help":
            continue
        kind = "Arguments" if param.param_type_name == "argument" else "Options"
        panels.setdefault(getattr(param, "rich_help_panel", None) or kind, []).append(_row(*record))
    for title, rows in panels.items():
        lines += ["", f"**{title}**", "", *_HEAD, *rows]
    return lines


def _usage(command: Any, context: Any) -> Iterator[str]:
    yield "[OPTIONS]"
    for param in command.get_params(context):
        if param.param_type_name == "argument" and not param.hidden:
            shown = (param.metavar or param.name.upper()) + ("..." if param.nargs < 0 else "")
            yield shown if param.required else f"[{shown}]"


def _row(names: str, text: str) -> str:
    """A line of the table; `names` and `text` are what `--help` shows."""
    shown = _KIND.sub(lambda kind: _KINDS.get(kind[1], _kind(kind[1])), names)
    if not names.startswith("-"):
        shown = names.partition(" ")[0]
    flags = ", ".join(f"`{each}`" for each in shown.split(", "))
    default = within = ""
    if extras := _EXTRAS.search(text):
        text = text[: extras.start()]
        within = _within(extras["within"] or "")
        given = extras["default"] or ""
        # In brackets it is no value but words that say what it depends on.
        default = given[1:-1] if given.startswith("(") else given and f"`{given}`"
        default = default or ("*required*" if extras["required"] else "")
    meaning = " ".join(part for part in (_escaped(text), within) if part)
    return f"| {_cell(flags)} | {_cell(meaning)} | {_cell(default)} |"


def _kind(name: str) -> str:
    return name.upper() if name.isalpha() else name


def _within(text: str) -> str:
    limits = _RANGE.fullmatch(text)
    if limits is None:
        return text
    bounds = [limits["above"] or limits["least"], limits["below"] or limits["most"]]
    low, high = (f"{float(bound):,.12g}" if bound else "" for bound in bounds)
    if low and high:
        return f"{low} to {high}."
    return f"At least {low}." if low else f"At most {high}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _escaped(text: str) -> str:
    plain = text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
    return _OPTION.sub(r"`\g<0>`", plain)


def _paragraphs(text: str | None) -> str:
    parts = (text or "").split("\n\n")
    return "\n\n".join(_escaped(" ".join(part.split())) for part in parts)


def _examples(epilog: str | None) -> list[str]:
    """Command lines as a code block, whatever else is said as text."""
    commands: list[str] = []
    said: list[str] = []
    for paragraph in (epilog or "").split("\n\n"):
        text = Text.from_markup(" ".join(paragraph.split()))
        plain = re.sub(r"^Examples?:\s*", "", text.plain)
        bold = [text.plain[span.start : span.end] for span in text.spans]
        if plain.startswith("tailrace ") and bold in ([], [plain]):
            commands += re.split(r"; (?=tailrace )", plain)
        elif plain:
            for each in bold:
                plain = plain.replace(each, f"`{each}`")
            said += ["", plain]
    block = ["", "For example:", "", "```", *commands, "```"] if commands else []
    return block + said
