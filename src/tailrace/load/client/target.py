"""Where requests go: a target's URL, and how to reach it."""

import base64
import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, unquote_to_bytes, urlsplit

import idna
import msgspec

from tailrace.errors import UsageError

_CREDENTIALS = re.compile(r"(?<=://)[^/?#]*@")
_SCHEME = re.compile(r"\w+://")
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")


class Tls(msgspec.Struct, frozen=True):
    """How a server's certificate is checked, and what certificate it is shown. All files are PEM.

    `ca_file` None trusts the system's authorities; `key_file` None is in the same file as
    `cert_file`.
    """

    verify: bool = True
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """How connections to a target are made."""

    host: str
    port: int
    unix_socket: Path | None = None
    """To connect to instead of host and port."""
    tls: Tls | None = None
    server_name: str | None = None
    """What the server's certificate must be good for, where that is not `host`."""


class Target(msgspec.Struct, frozen=True):
    """Where requests go, as the parts of an http:// or https:// URL."""

    host: str
    """A name in ASCII, or an address; that of an IPv6 link has its zone: `fe80::1%eth0`."""
    port: int
    path: str
    authority: str
    """What stands in the Host header."""
    tls: bool = False
    authorization: str | None = None
    """What stands in the Authorization header, where the URL has credentials."""

    def endpoint(
        self,
        tls: Tls | None = None,
        unix_socket: Path | None = None,
        connect_to: tuple[str, int] | None = None,
    ) -> Endpoint:
        """The way to it: by `tls` if it is https, and to the socket or to the host and port
        `connect_to` in place of its own, where one is given.
        """
        host, port = connect_to or (self.host, self.port)
        return Endpoint(
            host=host,
            port=port,
            unix_socket=unix_socket,
            tls=(tls or Tls()) if self.tls else None,
            server_name=self.host.partition("%")[0],
        )


def parse_target(url: str) -> Target:
    """The parts of `url`. No error shows credentials that stand in it.

    Raises:
        UsageError: it is no http:// or https:// URL with a host.
    """
    shown = _shown(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        # What it quotes may be a part of a password.
        reason = "" if "@" in url else f": {error}"
        raise UsageError(f"{shown!r} is not a URL{reason}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{shown!r} is not a URL to load: write http://HOST[:PORT]/PATH")
    if port == 0:
        raise UsageError(f"{shown!r} names port 0, where nothing can listen")
    userinfo, _, place = parts.netloc.rpartition("@")
    others = f"{userinfo}{parts.path}{parts.query}"
    if not others.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{shown!r} has spaces or letters beyond ASCII: percent-encode them")
    bracketed = place.startswith("[")
    host = _address(parts.hostname, shown) if bracketed else _name(parts.hostname)
    literal = f"[{host.partition('%')[0]}]" if bracketed else host
    tls = parts.scheme == "https"
    path = parts.path or "/"
    return Target(
        host=host,
        port=port or (443 if tls else 80),
        path=f"{path}?{parts.query}" if parts.query else path,
        authority=literal if port is None else f"{literal}:{port}",
        tls=tls,
        authorization=_basic(parts, shown) if userinfo else None,
    )


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; an IPv6 address stands in brackets.

    Raises:
        UsageError: it is none.
    """
    target = parse_target(f"http://{text}")
    if target.path != "/" or "@" in text or not re.search(r":\d+$", text):
        raise UsageError(f"{_shown(text)!r} is no address to connect to: write HOST:PORT")
    return target.host, target.port


def without_credentials(url: str) -> str:
    """`url`, or several, as may be written down and shown."""
    return _CREDENTIALS.sub("", url)


def _shown(url: str) -> str:
    # All before an @ may be a password: what is no URL can have it anywhere.
    scheme = _SCHEME.match(url)
    begin = scheme[0] if scheme is not None else ""
    return begin + url.removeprefix(begin).rpartition("@")[2]


def _name(host: str) -> str:
    try:
        # As browsers and curl do it (UTS 46): lower case and width, then IDNA 2008.
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError as error:
        raise UsageError(f"{host!r} cannot be the name of a host: {error}") from None
    labels = name.removesuffix(".").split(".")
    # RFC 1035, 2.3.4: what is longer cannot be looked up.
    if len(name) > 253 or not all(0 < len(label) < 64 for label in labels):
        raise UsageError(f"{host!r} cannot be the name of a host")
    return name


def _address(host: str, shown: str) -> str:
    address, percent, zone = host.partition("%")
    if not percent:
        return address
    # RFC 6874: %25 and the zone; curl takes a bare % as well.
    zone = unquote(zone.removeprefix("25"))
    if not _ZONE.fullmatch(zone):
        raise UsageError(f"{shown!r} has no zone that could be used: write [fe80::1%25eth0]")
    return f"{address}%{zone}"


def _basic(parts: SplitResult, shown: str) -> str:
    """RFC 7617, of the URL's user and password, percent-decoded."""
    user, password = (unquote_to_bytes(part or "") for part in (parts.username, parts.password))
    if b":" in user:
        raise UsageError(f"the user before {shown!r} has a colon, which Basic cannot say")
    return "Basic " + base64.b64encode(user + b":" + password).decode()
