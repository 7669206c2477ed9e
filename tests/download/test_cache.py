"""Where the cache is."""

from pathlib import Path

import pytest

from tailrace.download import cache_dir


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TAILRACE_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/h"}, "/a"),
        ({"TAILRACE_CACHE": "~/a", "HOME": "/h"}, "/h/a"),
        ({"TAILRACE_CACHE": "", "XDG_CACHE_HOME": "/b", "HOME": "/h"}, "/b/tailrace"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/tailrace"),
        ({"HOME": "/h"}, "/h/.cache/tailrace"),
    ],
)
def test_the_cache(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("TAILRACE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_dir() == Path(expected)
