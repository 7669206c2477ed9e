"""What the documentation tells to type can be typed: commands, files, configurations, programs."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.main import get_command

from tailrace.cli import build
from tailrace.errors import TailraceError
from tailrace.load.judge.slo import parse_slo
from tailrace.load.schedule.arrivals import parse_arrivals
from tailrace.load.schedule.profile import parse_profile
from tailrace.mlperf.scenario import find_scenario
from tailrace.models import zoo
from tailrace.runs.compare.regression import parse_bound
from tailrace.units import parse_duration_s, parse_rate_per_s
from tests.docs.markdown import FILES, NAMES, ROOT, Code, every_code, read
from tools.docs import sources

PLACEHOLDER = re.compile(r"[A-Z][A-Z_.]*|.*…")
CHECKS: dict[str, Callable[[str], object]] = {
    "rate": parse_rate_per_s,
    "start": parse_rate_per_s,
    "max_rate": parse_rate_per_s,
    "duration": parse_duration_s,
    "min_duration": parse_duration_s,
    "timeout": parse_duration_s,
    "batch_window": parse_duration_s,
    "slo": parse_slo,
    "regression": parse_bound,
    "scenario": find_scenario,
}
"""By the name of the parameter: what reads its value when the command runs."""
OF_A_PAGE = {"helmets"}
"""Models that a page tells how to add."""


def _commands(text: str) -> Iterator[list[str]]:
    """The words of each `tailrace …` in lines of shell."""
    for line in text.replace("\\\n", " ").split("\n"):
        if line.startswith(("$ ", "# ")):
            line = line[2:]
        # Outside of quotes: what separates commands, redirects and substitutes.
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>()")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:
            # Quotes that go over several lines; none of ours is such a command.
            continue
        command: list[str] = []
        for word in [*words, ";"]:
            if re.fullmatch(r"[&|;<>()]+", word):
                if "tailrace" in command and _starts(command):
                    yield command[command.index("tailrace") + 1 :]
                command = []
            else:
                command.append(word)


def _starts(command: Sequence[str]) -> bool:
    """Whether `tailrace` is what is started, not an argument of something else."""
    before = command[: command.index("tailrace")]
    return all("=" in word or word in ("taskset", "-c", "3", "exec") for word in before)


def _typed() -> list[Any]:
    return [
        pytest.param(words, id=f"{name}:{code.line} {' '.join(words)[:60]}")
        for name, code in every_code()
        if not code.inline and code.language in ("", "bash", "sh", "console", "text")
        for words in _commands(code.text)
        # Output of a program has its name in front, too.
        if not _is_output(words)
    ]


def _is_output(words: Sequence[str]) -> bool:
    return bool(words) and words[0].endswith(":")


@cache
def _root_command() -> Any:
    return get_command(build())


def _subcommand(words: Sequence[str]) -> tuple[str, Any, list[str]]:
    """Name, command and arguments; `tailrace mlperf MODEL` is `tailrace mlperf run MODEL`."""
    root = _root_command()
    assert words, "no command"
    assert words[0] in root.commands, f"there is no tailrace {words[0]}"
    name, command, rest = words[0], root.commands[words[0]], list(words[1:])
    if hasattr(command, "commands"):
        inner = rest.pop(0) if rest and rest[0] in command.commands else "run"
        assert inner in command.commands, f"tailrace {name} has no {inner}"
        return f"{name} {inner}", command.commands[inner], rest
    return name, command, rest


@pytest.mark.parametrize("words", _typed())
def test_a_command_line_is_understood(words: list[str]) -> None:
    if {"--help", "-h", "--version", "…"} & set(words):
        return
    name, command, rest = _subcommand(words)
    try:
        context = command.make_context(name, rest)
    except typer.TyperException as error:
        format_message = getattr(error, "format_message", error.__str__)
        pytest.fail(f"tailrace {shlex.join(words)}: {format_message()}")
    for param, value in context.params.items():
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(each, str) and not PLACEHOLDER.fullmatch(each):
                _check_command(param, each)


def _check_command(param: str, value: str) -> None:
    try:
        if param in CHECKS:
            CHECKS[param](value)
        elif param == "profile" and "(" in value and ".csv" in value:
            return  # a file that is not here
        elif param == "profile" and not value.endswith((".toml", "-onnx", "-onnxruntime", "-tf")):
            parse_profile(value)
        elif param == "arrivals" and not value.startswith("trace:"):
            parse_arrivals(value)
        elif param in ("model", "models", "name") and value not in (*OF_A_PAGE, "coco-val2017"):
            zoo.find(value)
    except TailraceError as error:
        pytest.fail(f"{param}: {error}")


def _mentioned() -> list[Any]:
    return [
        pytest.param(code.text, id=f"{name}:{code.line}")
        for name, code in every_code()
        if code.inline and re.match(r"(\S+=\S+ )*tailrace [a-z]", code.text)
    ]


@pytest.mark.parametrize("text", _mentioned())
def test_a_command_within_a_line_is_there_with_its_options(text: str) -> None:
    words = text.replace("|", " ").replace('"', " ").split()
    words = words[words.index("tailrace") + 1 :]
    if words[0] in ("COMMAND",):
        return
    _, command, rest = _subcommand(words)
    context = command.make_context("", [], resilient_parsing=True)
    known = {option for param in command.get_params(context) for option in param.opts}
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert options <= known, options - known


@pytest.mark.parametrize("name", NAMES)
def test_code_in_a_language_is_in_that_language(name: str) -> None:
    for code in read(ROOT / name)[0]:
        where = f"{name}, the block of line {code.line}"
        if code.inline:
            continue
        try:
            _read_as(code)
        except (SyntaxError, ValueError, yaml.YAMLError) as error:
            pytest.fail(f"{where}: {error}")


def _read_as(code: Code) -> None:
    if code.language == "python":
        compile(code.text, "", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    elif code.language == "json":
        json.loads(code.text)
    elif code.language == "toml":
        tomllib.loads(code.text)
    elif code.language in ("yaml", "yml"):
        list(yaml.safe_load_all(code.text))


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere_on_github(name: str) -> None:
    """In the repository itself, not only in the site."""
    file = ROOT / name
    for link in sources.links(file.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if ":" in link:
            assert re.fullmatch(r"https?://[^\s/]+\.?[^\s]*", link), link
            continue
        to = (file.parent / path).resolve() if path else file
        assert to.exists(), f"{link} leads nowhere"
        if anchor and to.suffix == ".md":
            assert anchor in _anchors(to), f"{link}: there is no such heading"


def _anchors(file: Path) -> set[str]:
    headings = [line.lstrip("#") for _, line in read(file)[1] if re.match(r"#+ ", line)]
    return {_slug(heading) for heading in headings}


def _slug(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_named_is_there(name: str) -> None:
    """Files of the repository, modules that are run, targets of make."""
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    for code in read(ROOT / name)[0]:
        for target in re.findall(r"(?m)^(?:\$ )?make ([a-z]+)\b", code.text):
            assert target in targets, f"line {code.line}: there is no make {target}"
        for module in re.findall(r"python -m (benchmarks[\w.]+)", code.text):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").is_file(), f"line {code.line}: no {module}"
        for path_text in re.findall(r"(?<![\w/.:-])[\w-]+(?:/[\w-]+)+\.py\b", code.text):
            places = (ROOT, ROOT / "src/tailrace", ROOT / "src/tailrace/models")
            if not any((place / path_text).is_file() for place in places):
                stem = Path(path_text).stem.removeprefix("test_")
                assert stem in OF_A_PAGE, f"line {code.line}: there is no {path_text}"


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 20
    assert len(_typed()) > 60
    assert len(_mentioned()) > 20
