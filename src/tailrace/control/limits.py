"""What this control room may do: where load may go, how much of it, and which files it may send."""

import asyncio
import re
import socket
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

import idna

from tailrace.cluster import AUTO
from tailrace.control.config import ServiceConfig
from tailrace.control.interface import NotAllowedError
from tailrace.errors import UsageError
from tailrace.load.client.target import parse_target
from tailrace.load.client.traffic import weighted_url
from tailrace.load.schedule.profile import Profile
from tailrace.load.schedule.trace_file import ANY_FILE, Files, NoFiles
from tailrace.load.settings import SettingError, settings_of

LOOPBACK = ("127.0.0.0/8", "::1", "localhost")

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network
_ANY = "*"
_NAME = re.compile(r"[a-z0-9_*?-]+(\.[a-z0-9_*?-]+)*")
_NUMERIC = re.compile(r"(.*\.)?([\d*?]+|0x[\da-f*?]*)")
"""A host that ends in a number is an address in some notation, never a name (WHATWG URL, 4.4)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """None of each is no limit.

    `allow` lists the targets: networks and addresses (`10.0.0.0/8`, `::1`), names (`localhost`,
    `triton`), names with wildcards (`*.lab`), Unix sockets (`/run/triton.sock`), or `*` for any. A
    name that no entry names is allowed if every address that it has is. `max_rate_per_s` holds for
    each service: for its profile, and for what is sent in any second. `bodies` is the
    directory below which files lie that a service added at run time may send.

    Raises:
        UsageError: an entry of `allow` is none of these, or the cap is no rate.
    """

    allow: tuple[str, ...] | None = None
    max_rate_per_s: float | None = None
    bodies: Path | None = None

    def __post_init__(self) -> None:
        for entry in self.allow or ():
            known = entry == _ANY or entry.startswith("/") or _network(entry) is not None
            if not known and not _is_name(_plain(entry)):
                raise SettingError(
                    f"{entry!r} is no network (10.0.0.0/8), address (::1), name (*.lab) or "
                    "socket (/run/triton.sock)",
                    "allow",
                )
        if self.max_rate_per_s is not None and not 0 <= self.max_rate_per_s < float("inf"):
            raise UsageError(f"the cap on the rate cannot be {self.max_rate_per_s:g}")

    async def check(self, config: ServiceConfig, *, files: bool = True) -> None:
        """Look whether load may go, and metrics be asked for, where `config` says, and whether the
        `files` that it names may be read.

        Raises:
            NotAllowedError: one of the places or files is not allowed.
            UsageError: one is no place.
        """
        for each in settings_of(ServiceConfig).values():
            value = getattr(config, each.name)
            if not value:
                continue
            match each.guard:
                case "targets":
                    for url in value.split():
                        await self.check_target(weighted_url(url)[1])
                case "address" if value != AUTO:
                    await self.check_target(f"http://{value}")
                case "socket":
                    self.check_socket(value)
                case "file" if files:
                    self.check_file(value)

    async def check_target(self, url: str) -> None:
        """Look whether load may go to `url`, an http:// or https:// one; may ask the resolver.

        Raises:
            NotAllowedError: it may not; the message names the entry that `allow` lacks.
            UsageError: it is no such URL.
        """
        target = parse_target(url)
        if self.allow is None or _ANY in self.allow:
            return
        host = _plain(target.host)
        if _is_name(host) and any(fnmatchcase(host, _plain(entry)) for entry in self.allow):
            return
        networks = [network for entry in self.allow if (network := _network(entry)) is not None]
        for address in await _resolve(target.host, target.port):
            if not any(_holds(network, address) for network in networks):
                entry = host if _is_name(host) else str(address)
                also = f", which is {address}," if entry == host != str(address) else ""
                raise NotAllowedError(
                    f"load may not go to {host}{also} from this control room: "
                    f"add {entry!r} under `allow` if it should"
                )

    def check_profile(self, profile: Profile) -> None:
        """Look whether a service's rate may follow `profile`.

        Raises:
            NotAllowedError: it goes above the cap.
        """
        cap, peak = self.max_rate_per_s, profile.peak_per_s
        if cap is not None and peak > cap:
            raise NotAllowedError(
                f"{peak:,.10g} requests a second are more than this control room's cap of "
                f"{cap:,.10g}"
            )

    def check_file(self, path: Path) -> None:
        """Look whether the file or directory `path` may be sent, symbolic links followed.

        Raises:
            NotAllowedError: it lies outside of `bodies`.
        """
        if self.bodies is not None and not path.resolve().is_relative_to(self.bodies.resolve()):
            raise NotAllowedError(
                f"{path} may not be sent from this control room: only files below {self.bodies}"
            )

    def check_socket(self, path: Path) -> None:
        """Look whether load may go to the Unix socket `path`, symbolic links followed.

        Raises:
            NotAllowedError: `allow` names it not.
        """
        whole = str(path.resolve())
        if self.allow is not None and not any(
            entry == _ANY or (entry.startswith("/") and fnmatchcase(whole, entry))
            for entry in self.allow
        ):
            raise NotAllowedError(
                f"load may not go to the socket {whole} from this control room: add {whole!r} "
                "under `allow` if it should"
            )

    @property
    def files(self) -> Files:
        """Which files an expression may name that is given at run time: any, or where `bodies`
        limits which ones may be read, none.
        """
        if self.bodies is None:
            return ANY_FILE
        return NoFiles(
            NotAllowedError("it reads a file: here only the configuration file may name a trace")
        )


def _plain(host: str) -> str:
    host = host.strip("[]").lower().removesuffix(".")
    if host.isascii():
        return host
    try:
        # A label by itself, so that a wildcard may stand for others.
        labels = host.split(".")
        return ".".join(
            label if label.isascii() else idna.alabel(label).decode() for label in labels
        )
    except idna.IDNAError:
        return host


def _is_name(host: str) -> bool:
    return _NAME.fullmatch(host) is not None and _NUMERIC.fullmatch(host) is None


def _network(entry: str) -> _Network | None:
    try:
        return ip_network(_plain(entry))
    except ValueError:
        return None


async def _resolve(host: str, port: int) -> list[_Address]:
    # As the load workers resolve it, so that 0x7f.1 and 2130706433 mean here what they mean there.
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotAllowedError(
            f"{host} has no address that could be looked up under `allow`: {error}"
        ) from None
    return [ip_address(str(address[0])) for *_, address in found]


def _holds(network: _Network, address: _Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address in network or (mapped is not None and mapped in network)
