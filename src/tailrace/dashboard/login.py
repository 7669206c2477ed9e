"""Who knows the token: programs by a bearer token, browsers by a session begun on a login page."""

import hmac
import math
import re
import secrets
import time
from hashlib import sha256
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, unquote

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from tailrace.control.faces.rest import NO_STORE, answer_error
from tailrace.control.guesses import Clock, Guesses, network_of, too_many
from tailrace.errors import TailraceError
from tailrace.plain import as_html

_LOCAL = re.compile(r'/(?![/\\])[!"$-~]*')
# The page on which a browser is asked for the token; it fetches nothing.
_PAGE = Template(Path(__file__).with_name("login.html").read_text("utf-8"))
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; \
frame-ancestors 'none'; base-uri 'none'"


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

    def answer(self, scope: Scope, headers: Headers) -> Response | None:
        """None for a request that may pass; else what to answer instead."""
        path = scope["path"]
        if (path, scope.get("method")) == ("/logout", "POST"):
            return self._end(scope)
        if self.has_session(scope):
            return RedirectResponse("/", 303) if path == "/login" else None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            refusal = self._look_at(given.strip().encode("latin-1"), scope)
            return refusal and _unauthorized(*refusal)
        if scope.get("method") in ("GET", "HEAD") and "text/html" in headers.get("accept", ""):
            return _page("/" if path == "/login" else _way_back(_address(scope)))
        return _unauthorized("send the token: Authorization: Bearer TOKEN")

    def has_session(self, scope: Scope) -> bool:
        """Whether the request is one of a browser that has logged in."""
        return self._sessions.knows(_session(scope))

    def begin(self, scope: Scope, form: bytes) -> Response:
        """Answer the login page's `form`."""
        fields = parse_qs(form.decode("latin-1"), encoding="utf-8", errors="surrogateescape")
        to = _way_back(fields.get("to", ["/"])[0])
        given = fields.get("token", [""])[0].encode("utf-8", "surrogateescape")
        refusal = self._look_at(given, scope)
        if refusal is not None:
            return _page(to, *refusal)
        welcome = RedirectResponse(to, 303)
        welcome.set_cookie(
            cookie_name(scope),
            self._sessions.begin(),
            httponly=True,
            samesite="strict",
            secure=scope["scheme"] == "https",
        )
        return welcome

    def _end(self, scope: Scope) -> Response:
        self._sessions.end(_session(scope))
        farewell = RedirectResponse("/", 303)
        farewell.delete_cookie(cookie_name(scope), httponly=True, samesite="strict")
        return farewell

    def _look_at(self, given: bytes, scope: Scope) -> tuple[str, float] | None:
        """None for the token; else why not, and after how many seconds to try again."""
        address = client_address(scope)
        if wait_s := self._guesses.wait_s(address):
            return too_many(wait_s), wait_s
        if hmac.compare_digest(given, self._token):
            return None
        self._guesses.count_wrong(address, given)
        return "this is not the token", 0.0


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


def _address(scope: Scope) -> str:
    path: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def _way_back(address: str) -> str:
    # Not to another site, and not to where a GET changes something.
    return address if _LOCAL.fullmatch(address) and ".do" not in unquote(address) else "/"


def _page(to: str, problem: str = "", wait_s: float = 0.0) -> Response:
    """The login page, which leads to the local address `to`; `problem` is why the last attempt
    failed.
    """
    wrong = f'<p class="wrong" role="alert">{as_html(problem.capitalize())}.</p>' if problem else ""
    html = _PAGE.substitute(
        invalid=' aria-invalid="true"' if problem else "", wrong=wrong, to=as_html(to)
    )
    headers = {**NO_STORE, "Content-Security-Policy": _POLICY}
    return _refused(HTMLResponse(html, 401, headers), wait_s)


def _unauthorized(message: str, wait_s: float = 0.0) -> Response:
    return _refused(answer_error(UnauthorizedError(message), 401), wait_s)


def _refused(answer: Response, wait_s: float) -> Response:
    """`answer`, with status 429 and Retry-After if the next attempt has to wait for `wait_s`."""
    answer.headers["WWW-Authenticate"] = "Bearer"
    if wait_s:
        answer.status_code = 429
        answer.headers["Retry-After"] = str(math.ceil(wait_s))
    return answer


def _digest(name: str) -> bytes:
    return sha256(name.encode()).digest()
