"""What `tailrace serve` refuses before it starts anything."""

from __future__ import annotations

import subprocess
import sys

import pytest


def _run(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "tailrace", "serve", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("null", "--replicas", "2"), "--replicas is for --ray"),
        (("null", "--ray", "auto", "--workers", "2"), "with --ray say --replicas"),
        (("null", "--ray", "auto", "--replicas", "two"), "--replicas is a number"),
        (("null", "--ray", "auto", "--queue", "0"), "--queue is 1 or more"),
        (("null", "--ray", "head", "--port", "0"), "--ray is auto or HOST:PORT"),
        (("null", "--ray", "auto", "--host", "0.0.0.0"), "set a token"),
    ],
)
def test_refusal_is_one_line(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAILRACE_TOKEN", raising=False)
    code, heard = _run(*arguments)
    assert code == 2
    (line,) = heard.splitlines()
    assert line.startswith("tailrace: error: ")
    assert said in line
