import pytest

from tailrace.errors import UsageError
from tailrace.load.client.target import Target, parse_address, parse_target, without_credentials

_NAMED = Target("xn--bcher-kva.example", 81, "/x", "xn--bcher-kva.example:81")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h", Target("h", 80, "/", "h")),
        ("http://h:81/a/b?c=d", Target("h", 81, "/a/b?c=d", "h:81")),
        ("http://[::1]:5000/x", Target("::1", 5000, "/x", "[::1]:5000")),
        ("http://u:p@h/x", Target("h", 80, "/x", "h", authorization="Basic dTpw")),
        ("http://u@h/x", Target("h", 80, "/x", "h", authorization="Basic dTo=")),
        ("http://u:@h/x@y", Target("h", 80, "/x@y", "h", authorization="Basic dTo=")),
        ("http://u:p%40%3A@h/", Target("h", 80, "/", "h", authorization="Basic dTpwQDo=")),
        ("http://Host/?q#part", Target("host", 80, "/?q", "host")),
        ("http://bücher.example:81/x", _NAMED),
        ("http://BÜCHER.example:81/x", _NAMED),
        ("http://xn--bcher-kva.example:81/x", _NAMED),
        ("http://straße.de/", Target("xn--strae-oqa.de", 80, "/", "xn--strae-oqa.de")),
        (
            "http://例え.テスト/",
            Target("xn--r8jz45g.xn--zckzah", 80, "/", "xn--r8jz45g.xn--zckzah"),
        ),
        ("http://[fe80::1%25eth0]:81/x", Target("fe80::1%eth0", 81, "/x", "[fe80::1]:81")),
        ("http://[fe80::1%25Br-2.7]/", Target("fe80::1%Br-2.7", 80, "/", "[fe80::1]")),
        ("http://[fe80::1%3]/", Target("fe80::1%3", 80, "/", "[fe80::1]")),
        ("https://h/x", Target("h", 443, "/x", "h", tls=True)),
    ],
)
def test_targets(url: str, target: Target) -> None:
    assert parse_target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:80", "ftp://h/", "http://", "http://h:port/", "http://h/a b"),
        *("http://h/\x01", "http://h/ü", "http://h/?ü", "http://ü@h/", "http://-ü.de/"),
        *("http://[fe80::1%25]/", "http://[fe80::1%25a b]/", "http://[::1/", "http://u%3Av@h/"),
        *("http://[fe80::1%25a%0d%0ab]/", f"http://{'ü' * 70}.de/", "http://ü..de/"),
        *(f"http://{'a' * 64}.de/", f"http://{'ab.' * 84}de/", "http://a..de/"),
    ],
)
def test_not_a_target(url: str) -> None:
    with pytest.raises(UsageError):
        parse_target(url)


@pytest.mark.parametrize(
    "url",
    [
        *("user:s3cret@h", "ftp://user:s3cret@h/", "http://user:s3cret@h:port/"),
        *("http://user:s3cret@h/a b", "http://user:s3cret@h/ü", "http://user:s3cret@h:0/"),
        *("http://user:s3cret@", "http://user:a/s3cret@h/", "http://user:a#s3cret@h/ x"),
        *("http://user:a@s3cret@h/ü", "http://user:s3cret@[::1/", "http://us%3Aer:s3cret@h/"),
        *("http://user:s3cret@h\x00/", "user:p://s3cret@h/"),
    ],
)
def test_no_error_shows_credentials(url: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_target(url)
    assert "s3cret" not in str(raised.value)
    assert "user" not in str(raised.value).replace("the user", "")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/x@y?z=a@b", "http://h/x@y?z=a@b"),
        ("http://u:p@h/x@y", "http://h/x@y"),
        ("https://u:p@q@h:1/?a@b", "https://h:1/?a@b"),
        ("3:http://u:p@a/ 1:http://b/ http://v@c", "3:http://a/ 1:http://b/ http://c"),
        ("http://u:p@[::1]:80/", "http://[::1]:80/"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


def test_the_certificate_is_of_the_address_without_its_zone() -> None:
    assert parse_target("https://[fe80::1%25lo]/").endpoint().server_name == "fe80::1"
    assert parse_target("https://h/").endpoint().server_name == "h"


@pytest.mark.parametrize(
    ("text", "address"),
    [("h:80", ("h", 80)), ("127.0.0.1:9", ("127.0.0.1", 9)), ("[::1]:9", ("::1", 9))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "h", "h:", "h:0", "h:x", "h:99999", "::1:80", "u:p@h:80", "h/x:1"]
)
def test_not_an_address(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)
