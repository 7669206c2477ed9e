"""The help of every command, as it is laid out in a terminal of 80 columns."""

import pytest

from tests.kit import cli

COMMANDS = (
    *(("demo",), ("serve",), ("load",), ("find",), ("compare",), ("report",), ("dashboard",)),
    *(("data", "fetch"), ("data", "prepare"), ("data", "generate")),
    *(("models", "list"), ("models", "show"), ("models", "fetch")),
    *(("mlperf", "run"), ("mlperf", "check")),
)
FEW = 14
"""So many options are read in one go."""


@pytest.fixture(autouse=True)
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def _help(*command: str) -> str:
    shown = cli.run_here(*command, "--help")
    assert shown.returncode == 0
    return shown.stdout


def panels(*command: str) -> dict[str, list[str]]:
    """The lines of each panel of a command's help, in their order."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in _help(*command).splitlines():
        assert len(line) <= 80
        if line.startswith("╭"):
            title = line.strip("╭─╮ ")
            found[title] = []
        elif line.startswith("│"):
            found[title].append(line.strip("│ "))
    return found


@pytest.mark.parametrize("command", [(), ("data",), ("models",), *COMMANDS])
def test_a_flag_has_no_kind_of_value(command: tuple[str, ...]) -> None:
    lines = [line for each in panels(*command).values() for line in each]
    assert any("--help" in line for line in lines)
    assert not any("<bool>" in line for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_many_options_stand_in_groups(command: tuple[str, ...]) -> None:
    for title, lines in panels(*command).items():
        assert sum(line.startswith("--") for line in lines) <= FEW, title


@pytest.mark.parametrize("command", ["load", "find"])
def test_what_most_runs_need_comes_first_and_what_few_need_last(command: str) -> None:
    titles = list(panels(command))
    assert titles[:2] == ["Arguments", "Options"]
    assert titles[-1] == "Advanced"


@pytest.mark.parametrize("command", ["load", "find", "serve", "dashboard", "demo"])
def test_no_word_is_cut(command: str) -> None:
    assert "…" not in _help(command).replace("TAILRACE_TOKEN=…", "")


def test_a_paragraph_is_wrapped_by_the_terminal_alone() -> None:
    said = _help("mlperf", "run")
    assert "\n otherwise. The logs are LoadGen's own. Exit code 0" in said
