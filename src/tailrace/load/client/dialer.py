"""Opens connections to one endpoint: its addresses in turn, TLS, Unix sockets."""

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, zip_longest
from time import monotonic
from typing import Any, cast

from tailrace.errors import UsageError
from tailrace.load.client.target import Endpoint, Tls
from tailrace.load.measure.measurement import MOST_ADDRESSES
from tailrace.net import trusting

_RESOLVE_EVERY_S = 10.0
_RESOLVE_AGAIN_S = 1.0
"""After a look-up that failed: not for each of a thousand requests a second."""
_ATTEMPT_DELAY_S = 0.25
"""How long an attempt at one address may take before the next begins beside it (RFC 8305, 5)."""
_GOODBYE_S = 1.0
"""How long a TLS server may take to close, once it is told to; the connection counts until then."""
_OUR_OWN = {errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Errors that tell nothing about the address."""
_NO_WAY = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT, errno.EINVAL}
"""Errors of an address that nobody can reach from here."""

Factory = Callable[[str], asyncio.Protocol]
"""What makes the protocol of a connection, of the address that it is to."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Addresses of a host, for a port, the preferred one first; raises OSError where there are none."""


class Dialer:
    """Connects to an endpoint; a name is looked up anew every ten seconds, so that load follows it.

    Args:
        resolve: what looks names up, instead of the system.

    Raises:
        UsageError: a file of certificates cannot be used.
    """

    def __init__(self, endpoint: Endpoint, resolve: Resolve | None = None) -> None:
        self._endpoint = endpoint
        self._resolve = resolve
        self._context = _tls_context(endpoint.tls) if endpoint.tls is not None else None
        self._addresses = Addresses()
        self._look_up: asyncio.Task[None] | None = None
        self._look_up_s = float("-inf")
        """When the next one is due, by the loop's clock."""
        self._unknown: OSError | None = None
        """Why the last one failed."""
        if endpoint.unix_socket is not None:
            self._addresses.replace([str(endpoint.unix_socket)])
            self._look_up_s = float("inf")

    @property
    def usable(self) -> list[str]:
        """The endpoint's addresses, as far as they are known, without those that are left out as
        they were last not to be reached.
        """
        return self._addresses.usable

    def place(self, address: str) -> str:
        """Where connections to an address go, for people: 127.0.0.1:5000, [::1]:5000."""
        if self._endpoint.unix_socket is not None:
            return address
        host = f"[{address}]" if ":" in address else address
        return f"{host}:{self._endpoint.port}"

    def refresh(self) -> None:
        """Look the name up if that is due: once for all who come meanwhile."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._look_up_s:
            self._look_up_s = float("inf")
            self._look_up = loop.create_task(self._find())

    async def dial(
        self,
        factory: Factory,
        timeout_s: float,
        first: str | None = None,
    ) -> None:
        """One connection, its protocol made by `factory` of the address that was reached.

        Addresses are tried as Happy Eyeballs (RFC 8305) has it, `first` before the others. What
        wants it to end in time says so by `timeout_s`: one that is cancelled may be open all the
        same.

        Raises:
            OSError: it cannot be opened: refused, unreachable, no such name, TLS fails, or
                TimeoutError.
        """
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        await self._resolved(deadline_s)
        # Without TLS a connection has its protocol as soon as it is open.
        early = factory if self._context is None else None
        attempt, transport = await self._race(self._addresses.in_order(first), early, deadline_s)
        if self._context is not None:
            if not transport.is_closing():
                transport = await self._encrypt(transport, attempt, deadline_s)
            if attempt.over or transport.is_closing():
                raise ConnectionResetError
            attempt.hand_over(transport, factory)

    async def _race(
        self, addresses: Sequence[str], early: Factory | None, deadline_s: float
    ) -> tuple["_Attempt", asyncio.Transport]:
        """The first attempt that succeeds, and its transport; nothing is left of the others."""
        loop = asyncio.get_running_loop()
        opened: _Opened = loop.create_future()
        untried = deque(addresses)
        running: dict[asyncio.Task[object], _Attempt] = {}
        errors: list[tuple[bool, bool, OSError]] = []
        try:
            while untried or running:
                if untried:
                    attempt = _Attempt(untried.popleft(), opened, early)
                    running[self._begin(attempt)] = attempt
                left_s = max(deadline_s - loop.time(), 0.0)
                waited_for: list[asyncio.Future[Any]] = [opened, *running]
                done, _ = await asyncio.wait(
                    waited_for,
                    timeout=min(left_s, _ATTEMPT_DELAY_S) if untried else left_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if opened.done():
                    won = opened.result()
                    self._addresses.reached(won[0].address)
                    return won
                for task in [task for task in running if task in done]:
                    attempt = running.pop(task)
                    error = task.exception()
                    if not isinstance(error, OSError):
                        raise error or ConnectionResetError
                    errors.append(self._judge(attempt.address, error))
                if not done and loop.time() >= deadline_s:
                    raise TimeoutError
        finally:
            opened.cancel()
            for task, attempt in running.items():
                if not attempt.made:
                    task.cancel()
                    self._addresses.leave_out(attempt.address)
        raise max(errors, key=lambda entry: entry[:2])[2]

    def _judge(self, address: str, error: OSError) -> tuple[bool, bool, OSError]:
        """An address's error behind how much it tells: most where it was reached before, least
        where this machine cannot reach any such address.
        """
        known = self._addresses.was_reached(address)
        if error.errno == errno.EADDRNOTAVAIL and not known and ":" in address:
            # So Linux puts it where IPv6 is off.
            error = OSError(errno.ENETUNREACH, "network unreachable")
        if error.errno not in _OUR_OWN:
            self._addresses.leave_out(address)
        return known, error.errno not in _NO_WAY, error

    def _begin(self, attempt: "_Attempt") -> "asyncio.Task[object]":
        loop = asyncio.get_running_loop()
        task: asyncio.Task[object] = loop.create_task(
            loop.create_unix_connection(lambda: attempt, attempt.address)
            if self._endpoint.unix_socket is not None
            else loop.create_connection(lambda: attempt, attempt.address, self._endpoint.port)
        )
        # One that is over before it failed has nobody else to hear of it.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return task

    async def _encrypt(
        self, transport: asyncio.Transport, attempt: "_Attempt", deadline_s: float
    ) -> asyncio.Transport:
        loop = asyncio.get_running_loop()
        assert self._context is not None
        try:
            encrypted = await loop.start_tls(
                transport,
                attempt,
                self._context,
                server_hostname=self._endpoint.server_name or self._endpoint.host,
                ssl_handshake_timeout=max(deadline_s - loop.time(), 1e-3),
                ssl_shutdown_timeout=_GOODBYE_S,
            )
        except BaseException as error:
            transport.abort()
            if isinstance(error, ConnectionAbortedError) and error.errno is None:
                # The loop's own, when the handshake's time is up.
                raise TimeoutError("TLS handshake") from None
            if attempt.spoke and isinstance(error, ConnectionError):
                # What it said is lost to the handshake, which only sees that it ends.
                no_tls = ssl.SSLError("the server speaks before it is asked")
                no_tls.reason = "SPEAKS_FIRST"
                raise no_tls from None
            raise
        return cast(asyncio.Transport, encrypted)

    async def _resolved(self, deadline_s: float) -> None:
        """Return when there are addresses."""
        self.refresh()
        if not self._addresses.all and self._look_up is not None:
            left_s = deadline_s - asyncio.get_running_loop().time()
            await asyncio.wait((self._look_up,), timeout=left_s)
        if not self._addresses.all:
            raise self._unknown or TimeoutError("name look-up")

    async def _find(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await (self._resolve or _resolve)(self._endpoint.host, self._endpoint.port)
        except (OSError, UnicodeError) as error:
            # UnicodeError: a label that no name can have.
            self._unknown = error if isinstance(error, OSError) else socket.gaierror(str(error))
            self._look_up_s = loop.time() + _RESOLVE_AGAIN_S
        else:
            self._addresses.replace(found)
            self._look_up_s = loop.time() + _RESOLVE_EVERY_S


_Opened = asyncio.Future[tuple["_Attempt", asyncio.Transport]]


class _Attempt(asyncio.Protocol):
    """One attempt to reach one address, and the protocol of its transport until that has another.

    `opened` is the dial's, for the first of its attempts that is `made`; one that comes later is
    aborted. uvloop closes the transport of a `create_connection` that is cancelled without a word
    to its protocol, so none may be cancelled once it is made.
    """

    def __init__(self, address: str, opened: _Opened, early: Factory | None) -> None:
        self.address = address
        self.made = False
        self.spoke = False
        """The server has spoken before it was asked: that is neither HTTP nor TLS."""
        self.over = False
        """It has, or has closed."""
        self._opened = opened
        self._early = early

    def hand_over(self, transport: asyncio.Transport, factory: Factory) -> None:
        """Give the transport the protocol that it is meant for."""
        protocol = factory(self.address)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = True
        transport = cast(asyncio.Transport, transport)
        if self._opened.done():
            transport.abort()
            return
        self._opened.set_result((self, transport))
        if self._early is not None:
            self.hand_over(transport, self._early)

    def data_received(self, data: bytes) -> None:
        self.spoke = self.over = True

    def eof_received(self) -> bool:
        self.over = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True


async def _resolve(host: str, port: int) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _tls_context(tls: Tls) -> ssl.SSLContext:
    context = trusting(tls.ca_file, verify=tls.verify)
    if tls.cert_file is not None:
        try:
            # Without a password to give: OpenSSL would ask the terminal for one.
            context.load_cert_chain(tls.cert_file, tls.key_file, lambda: "")
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"cannot use the certificate {tls.cert_file} with its key: {error}"
            ) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


_LEFT_OUT_S = 10.0
_LONGEST_LEFT_OUT_S = 320.0


class Addresses:
    """The addresses of one name. They take turns, but for those that were last not to be reached.

    `all` has them in the order of RFC 8305: families by turns, that of the first address first.
    """

    def __init__(self) -> None:
        self.all: list[str] = []
        self._next = -1
        self._reached: set[str] = set()
        self._pauses_s: dict[str, float] = {}
        """How long those that cannot be reached are left out, since they were last reached."""
        self._out_until_s: dict[str, float] = {}

    def replace(self, found: Sequence[str]) -> None:
        """The name has these addresses now, the preferred one first."""
        self.all = _interleave(found)[:MOST_ADDRESSES]
        self._reached &= set(found)
        for known in (self._pauses_s, self._out_until_s):
            for gone in known.keys() - set(found):
                del known[gone]

    @property
    def usable(self) -> list[str]:
        """Those that are not left out."""
        if not self._out_until_s:
            return self.all
        now_s = monotonic()
        return [address for address in self.all if self._out_until_s.get(address, now_s) <= now_s]

    def in_order(self, first: str | None = None) -> list[str]:
        """All of them as they are to be tried: `first`, or else the one whose turn it is, those
        behind it, and at last those that are left out.
        """
        usable = self.usable
        if first in usable:
            place = usable.index(first)
        else:
            self._next += 1
            place = self._next % max(len(usable), 1)
        usable = usable[place:] + usable[:place]
        return usable + [address for address in self.all if address not in usable]

    def was_reached(self, address: str) -> bool:
        """Whether a connection to it was ever open."""
        return address in self._reached

    def reached(self, address: str) -> None:
        """A connection to it is open."""
        self._reached.add(address)
        self._pauses_s.pop(address, None)
        self._out_until_s.pop(address, None)

    def leave_out(self, address: str) -> None:
        """It refuses, or is too slow: let it be for 10 s, twice as long each time."""
        pause_s = min(2 * self._pauses_s.get(address, _LEFT_OUT_S / 2), _LONGEST_LEFT_OUT_S)
        self._pauses_s[address] = pause_s
        self._out_until_s[address] = monotonic() + pause_s


def _interleave(addresses: Sequence[str]) -> list[str]:
    six = [address for address in addresses if ":" in address]
    four = [address for address in addresses if ":" not in address]
    families = (six, four) if addresses and ":" in addresses[0] else (four, six)
    mixed = chain.from_iterable(zip_longest(*families))
    return [address for address in mixed if address is not None]
