"""`tailrace` as its user runs it: a process with streams and an exit code."""

import subprocess
import sys
from typing import Any

from tests.kit.waiting import TIMEOUT_S


def command(*words: object) -> list[str]:
    """The command line of `tailrace WORDS…`."""
    return [sys.executable, "-m", "tailrace", *map(str, words)]


def run(*words: object, **settings: Any) -> "subprocess.CompletedProcess[str]":
    """Run `tailrace WORDS…` to its end; settings are those of `subprocess.run`, such as `cwd`."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    defaults = {"text": True, "timeout": TIMEOUT_S, "check": False}
    return subprocess.run(command(*words), **pipes | defaults | settings)


def start(*words: object, **settings: Any) -> "subprocess.Popen[str]":
    """Start it, its output in pipes; settings are those of `subprocess.Popen`."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command(*words), **pipes | settings)
