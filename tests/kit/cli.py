"""`tailrace` as its user runs it: a process with streams and an exit code."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from tailrace.cli import main
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


def run_here(
    *words: object, cwd: Path | None = None, env: Mapping[str, str] = os.environ
) -> "subprocess.CompletedProcess[str]":
    """Run it in this process, which saves its start: for what starts no processes and takes no
    signals, such as help and arguments that cannot be.
    """
    code: object = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(cwd or Path.cwd()))
        stack.enter_context(mock.patch.dict(os.environ, dict(env), clear=True))
        stack.enter_context(mock.patch.object(sys, "argv", ["tailrace", *map(str, words)]))
        files = []
        for fd, name in ((1, "stdout"), (2, "stderr")):
            getattr(sys, name).flush()
            stack.enter_context(mock.patch.object(sys, name, getattr(sys, name)))
            files.append(stack.enter_context(tempfile.TemporaryFile()))
            kept = os.dup(fd)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, fd)
            os.dup2(files[-1].fileno(), fd)
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        said = []
        for file in files:
            file.seek(0)
            said.append(file.read().decode())
    assert isinstance(code, int)
    return subprocess.CompletedProcess(words, code, *said)
