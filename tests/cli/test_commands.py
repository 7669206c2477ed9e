"""The command line as a whole."""

import os
import subprocess
import sys

import pytest

from tailrace.cli import COMMANDS, GROUPS
from tests.kit import cli

_RUN = """
import sys
from tailrace.cli import main
sys.argv = ["tailrace", *{arguments!r}]
try:
    main()
finally:
    loaded = {names!r} & {{m.removeprefix("tailrace.cli.") for m in sys.modules}}
    print("loaded", *sorted(loaded), file=sys.stderr)
"""
NAMES = {*COMMANDS, *GROUPS}


def _loaded(*arguments: str) -> tuple[set[str], str]:
    """The commands whose modules were imported, and stdout."""
    code = _RUN.format(arguments=arguments, names=NAMES)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    word, *names = done.stderr.splitlines()[-1].split()
    assert word == "loaded"
    return set(names), done.stdout


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_command_is_all_that_is_imported_for_it(name: str) -> None:
    names, said = _loaded(name, "--help")
    assert f"tailrace {name}" in said
    # Those that a command itself builds upon come with it.
    assert name in names
    assert len(names) < 4


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_all_are_listed(arguments: tuple[str, ...]) -> None:
    names, said = _loaded(*arguments)
    assert names == NAMES
    assert all(f" {name} " in said for name in NAMES)


@pytest.mark.parametrize("module", ["control.faces.rpc.client", "control.faces.rpc.server"])
def test_grpc_has_no_handlers_around_fork_whoever_imports_it(module: str) -> None:
    """Load workers died in them, and they write a line where they do nothing."""
    code = f"""
import os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "grpc":
            print(os.environ.get("GRPC_ENABLE_FORK_SUPPORT"))
sys.meta_path.insert(0, Watch())
import tailrace.{module}
"""
    environment = {k: v for k, v in os.environ.items() if k != "GRPC_ENABLE_FORK_SUPPORT"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "0\n", done.stderr


def test_one_that_is_not_there() -> None:
    done = cli.run("loaf")
    assert done.returncode == 2
    assert done.stderr.startswith("tailrace: error: No such command 'loaf'")
    assert done.stderr.count("\n") == 1
