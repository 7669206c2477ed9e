"""What `tailrace serve` refuses before it starts anything."""

from __future__ import annotations

import pytest

from tests.kit import cli


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("null", "--replicas", "2"), "--replicas is for --ray"),
        (("null", "--ray", "auto", "--workers", "2"), "with --ray say --replicas"),
        (("null", "--ray", "auto", "--replicas", "two"), "--replicas is a number"),
        (("null", "--ray", "auto", "--queue", "0"), "--queue is 1 or more"),
        (("null", "--ray", "head", "--port", "0"), "a Ray cluster is auto or HOST:PORT"),
        (("null", "--ray", "auto", "--host", "0.0.0.0"), "set a token"),
    ],
)
def test_refusal_is_one_line(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAILRACE_TOKEN", raising=False)
    ended = cli.run_here("serve", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("tailrace: error: ")
    assert said in line
