"""Where requests go: a target's URL, and how to reach it."""

from urllib.parse import urlsplit

import msgspec

from tailrace.errors import UsageError


class Target(msgspec.Struct, frozen=True):
    """Where requests go, as the parts of an http:// or https:// URL."""

    host: str
    port: int
    path: str
    authority: str
    """What stands in the Host header."""
    tls: bool = False


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How connections to a target are made."""

    host: str
    port: int
    unix_socket: str | None = None
    """Path of a Unix socket to connect to instead of host and port."""
    tls: bool = False
    verify: bool = True
    """Whether the server's certificate must be good for `host`."""
    ca_file: str | None = None
    """PEM file of the authorities to trust instead of the system's."""


def parse_target(url: str) -> Target:
    """The parts of `url`.

    Raises:
        UsageError: it is no http:// or https:// URL with a host.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is not a URL to load: write http://HOST[:PORT]/PATH")
    labels = parts.hostname.removesuffix(".").split(".")
    # RFC 1035, 2.3.4: what is longer cannot be looked up.
    if len(parts.hostname) > 253 or not all(0 < len(label) < 64 for label in labels):
        raise UsageError(f"{parts.hostname!r} cannot be the name of a host")
    if port == 0:
        raise UsageError(f"{url!r} names port 0, where nothing can listen")
    if not url.isascii() or any(char.isspace() for char in url):
        raise UsageError(f"{url!r} has spaces or letters beyond ASCII: percent-encode them")
    tls = parts.scheme == "https"
    path = parts.path or "/"
    return Target(
        host=parts.hostname,
        port=port or (443 if tls else 80),
        path=f"{path}?{parts.query}" if parts.query else path,
        authority=parts.netloc.rpartition("@")[2],
        tls=tls,
    )
