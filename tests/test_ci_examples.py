"""The pipelines in examples/ and docs/ci.md: every command line in them is read by the CLI."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from tailrace.cli import build
from tailrace.load.judge.slo import parse_slo
from tailrace.runs.compare.regression import parse_bound

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / "examples" / "github-actions.yml"
DOCS = ROOT / "docs" / "ci.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def command_lines(script: str) -> list[str]:
    """The lines of a script that run tailrace, without redirections."""
    lines = script.replace("\\\n", " ").splitlines()
    found = [line.strip().removeprefix("- ") for line in lines]
    return [line.split(" > ")[0] for line in found if line.startswith("tailrace ")]


def parse_command(line: str) -> Any:
    """The options of a command line, as the CLI reads them; nothing is run."""
    command: Any = get_command(build())
    _, *arguments = shlex.split(line.removesuffix("&"), comments=True)
    context = command.make_context("tailrace", list(arguments))
    while hasattr(command, "resolve_command"):
        name, command, arguments = command.resolve_command(context, arguments)
        context = command.make_context(name, list(arguments), parent=context)
        arguments = [*context._protected_args, *context.args]
    return context.params


def workflow() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())
    return document


def lines_of_workflow() -> list[str]:
    steps = workflow()["jobs"]["latency"]["steps"]
    return [line for step in steps for line in command_lines(step.get("run", ""))]


def lines_of_docs() -> list[str]:
    return [line for _, text in BLOCK.findall(DOCS.read_text()) for line in command_lines(text)]


@pytest.mark.parametrize("line", [*lines_of_workflow(), *lines_of_docs()])
def test_every_command_line_is_one(line: str) -> None:
    options = parse_command(line)
    slos = options.get("slo") or []
    for slo in [slos] if isinstance(slos, str) else slos:
        parse_slo(slo)
    for bound in options.get("regression") or []:
        parse_bound(bound)


def test_the_parser_refuses_what_is_no_command_line() -> None:
    for line in ("tailrace load --nope", "tailrace nothing", "tailrace compare"):
        with pytest.raises(Exception, match=r"(?i)no such|missing"):
            parse_command(line)


def test_the_workflow_is_whole() -> None:
    document = workflow()
    # YAML 1.1 takes the key `on` for true.
    assert set(document) == {"name", True, "jobs"}
    (job,) = document["jobs"].values()
    assert job["timeout-minutes"] <= 30
    for step in job["steps"]:
        assert set(step) <= {"name", "uses", "with", "run", "if"}
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w/-]+@v\d+", step["uses"])
    loads = [
        parse_command(line) for line in lines_of_workflow() if line.startswith("tailrace load")
    ]
    assert [bool(options["baseline"]) for options in loads] == [False, False, True]
    assert all(options["junit"] and options["slo"] for options in loads[1:])


def test_snippets_of_yaml_in_the_docs_are_yaml() -> None:
    snippets = [text for kind, text in BLOCK.findall(DOCS.read_text()) if kind == "yaml"]
    assert snippets
    for text in snippets:
        (job,) = yaml.safe_load(text).values()
        assert job["script"]
        assert job["artifacts"]["reports"]["junit"]
