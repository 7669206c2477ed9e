import pytest

from tailrace.errors import UsageError
from tailrace.load.target import Target, parse_target


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h", Target("h", 80, "/", "h")),
        ("http://h:81/a/b?c=d", Target("h", 81, "/a/b?c=d", "h:81")),
        ("http://[::1]:5000/x", Target("::1", 5000, "/x", "[::1]:5000")),
        ("http://user:secret@h/x", Target("h", 80, "/x", "h")),
        ("https://h/x", Target("h", 443, "/x", "h", tls=True)),
    ],
)
def test_targets(url: str, target: Target) -> None:
    assert parse_target(url) == target


@pytest.mark.parametrize(
    "url",
    ["", "localhost:80", "ftp://h/", "http://", "http://h:port/", "http://h/a b"],
)
def test_not_a_target(url: str) -> None:
    with pytest.raises(UsageError):
        parse_target(url)
