"""Who knows the token: programs by a bearer token, browsers by a session begun on a login page."""

import hmac
import math
import re
import secrets
import time
from hashlib import sha256
from urllib.parse import parse_qs, unquote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope

from tailrace.control.faces.answers import answer_error
from tailrace.control.guesses import Clock, Guesses, network_of, too_many
from tailrace.dashboard.body_limit import BodyError, read_body, refuse_body
from tailrace.dashboard.cross_site import CrossSiteError, is_told
from tailrace.dashboard.login_page import login_page
from tailrace.errors import TailraceError

_FORM_BYTES = 4096
_FORM_S = 10.0
_LOCAL = re.compile(r'/(?![/\\])[!"$-~]*')


class UnauthorizedError(TailraceError):
    """The request carries no token, or a wrong one."""


class Login:
    """Lets in who knows `token`.

    Tokens are compared in constant time. An address that sent too many wrong ones waits before its
    next one is looked at; see Guesses.
    """

    def __init__(
        self, token: str, guesses: Guesses | None = None, clock: Clock = time.monotonic
    ) -> None:
        self._token = token.encode()
        self._sessions = Sessions(clock)
        self._guesses = guesses or Guesses(clock)

    async def answer(self, scope: Scope, receive: Receive) -> Response | None:
        """None for a request that may pass; else what to answer instead."""
        headers = Headers(scope=scope)
        if scope["type"] == "http" and scope["method"] == "POST":
            if scope["path"] == "/login":
                return await self._log_in(scope, receive)
            if scope["path"] == "/logout":
                return self._log_out(scope)
        if self._sessions.knows(_session(scope)):
            return _lets_session(scope, headers)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            refusal = self._look_at(given.strip().encode("latin-1"), scope)
            return refusal and _unauthorized(*refusal)
        if _is_navigation(scope, headers):
            if scope["path"] == "/login":
                return login_page("/")
            return login_page(_way_back(_address(scope)))
        return _unauthorized("send the token: Authorization: Bearer TOKEN", 0)

    def _look_at(self, given: bytes, scope: Scope) -> tuple[str, float] | None:
        """None for the token; else why not, and after how many seconds to try again."""
        address = client_address(scope)
        if wait_s := self._guesses.wait_s(address):
            return too_many(wait_s), wait_s
        if hmac.compare_digest(given, self._token):
            return None
        self._guesses.count_wrong(address, given)
        return "this is not the token", 0.0

    async def _log_in(self, scope: Scope, receive: Receive) -> Response:
        try:
            body = await read_body(scope, receive, _FORM_BYTES, _FORM_S)
        except BodyError as error:
            return refuse_body(error)
        form = parse_qs(body.decode("latin-1"), encoding="utf-8", errors="surrogateescape")
        to = _way_back(form.get("to", ["/"])[0])
        given = form.get("token", [""])[0].encode("utf-8", "surrogateescape")
        refusal = self._look_at(given, scope)
        if refusal is not None:
            return login_page(to, *refusal)
        welcome = RedirectResponse(to, 303)
        welcome.set_cookie(
            cookie_name(scope),
            self._sessions.begin(),
            httponly=True,
            samesite="strict",
            secure=scope["scheme"] == "https",
        )
        return welcome

    def _log_out(self, scope: Scope) -> Response:
        self._sessions.end(_session(scope))
        farewell = RedirectResponse("/", 303)
        farewell.delete_cookie(cookie_name(scope), httponly=True, samesite="strict")
        return farewell


class Sessions:
    """Sessions of browsers: random names, of which only digests are kept.

    Each ends `lifetime_s` after its login; beyond `most` the oldest one does.
    """

    def __init__(
        self, clock: Clock = time.monotonic, lifetime_s: float = 7 * 86400, most: int = 1000
    ) -> None:
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._most = most
        self._ends: dict[bytes, float] = {}

    def begin(self) -> str:
        """The name of a new session."""
        name = secrets.token_urlsafe(32)
        self._ends[_digest(name)] = self._clock() + self._lifetime_s
        if len(self._ends) > self._most:
            del self._ends[next(iter(self._ends))]
        return name

    def knows(self, name: str) -> bool:
        """Whether a session of this name goes on."""
        return bool(name) and self._ends.get(_digest(name), 0.0) > self._clock()

    def end(self, name: str) -> None:
        """End it, if there is one."""
        self._ends.pop(_digest(name), None)


def client_address(scope: Scope) -> str:
    """Where a request comes from, as `network_of` has it."""
    return network_of((scope.get("client") or ("",))[0])


def cookie_name(scope: Scope) -> str:
    """The session's cookie: one a port, since browsers keep cookies by host alone."""
    return f"tailrace-{(scope.get('server') or ('', 0))[1]}"


def _session(scope: Scope) -> str:
    return HTTPConnection(scope).cookies.get(cookie_name(scope), "")


def _lets_session(scope: Scope, headers: Headers) -> Response | None:
    if scope["path"] == "/login":
        return RedirectResponse("/", 303)
    # The one case in which a browser may tell nothing: a GET over plain HTTP to another machine.
    if scope["path"].endswith(".do") and not is_told(headers):
        return answer_error(
            CrossSiteError(
                "Refused: whose page asked for this cannot be told over plain HTTP; use POST, the "
                "bearer token, or HTTPS"
            )
        )
    return None


def _is_navigation(scope: Scope, headers: Headers) -> bool:
    return scope.get("method") in ("GET", "HEAD") and "text/html" in headers.get("accept", "")


def _address(scope: Scope) -> str:
    path: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def _way_back(address: str) -> str:
    # Not to another site, and not to where a GET changes something.
    return address if _LOCAL.fullmatch(address) and ".do" not in unquote(address) else "/"


def _unauthorized(message: str, wait_s: float) -> Response:
    refusal = answer_error(UnauthorizedError(message), 429 if wait_s else 401)
    if wait_s:
        refusal.headers["Retry-After"] = str(math.ceil(wait_s))
    refusal.headers["WWW-Authenticate"] = "Bearer"
    return refusal


def _digest(name: str) -> bytes:
    return sha256(name.encode()).digest()
