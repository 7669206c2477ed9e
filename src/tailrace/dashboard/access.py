"""Who may reach the control room: a load generator that anyone may start is a weapon."""

import hmac
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import parse_qs

import msgspec
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tailrace.control.rest import is_cross_site

COOKIE = "tailrace"


class Access:
    """ASGI middleware around page, its socket and REST.

    Without a token the server is meant for this machine alone: only loopback names are answered,
    so that no web page reaches it under a name of its own (DNS rebinding). With a token, programs
    send it as a bearer token (RFC 6750), and a browser opens `/?token=…` once and keeps a cookie.
    No other site's page may open the socket or send anything in either case.
    """

    def __init__(self, app: ASGIApp, token: str | None = None) -> None:
        self._app = app
        self._token = token
        self._cookie = sha256(token.encode()).hexdigest() if token is not None else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if scope.get("method") not in ("GET", "HEAD") and is_cross_site(headers):
            return _error(403, "Refused: only this control room's own page may do this")
        if self._token is None:
            if _is_loopback(headers.get("host", "")):
                return None
            return _error(403, "Without TAILRACE_TOKEN only 127.0.0.1 and localhost are answered")
        return None if self._knows(scope, headers) else self._welcome(scope)

    def _knows(self, scope: Scope, headers: Headers) -> bool:
        bearer = headers.get("authorization", "")
        cookie = HTTPConnection(scope).cookies.get(COOKIE, "")
        return _same(bearer, f"Bearer {self._token}") or _same(cookie, self._cookie)

    def _welcome(self, scope: Scope) -> Response:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["type"] == "http" and _same(given, self._token or ""):
            # Without the token in the address, which histories and logs keep.
            welcome = RedirectResponse("/", 303)
            welcome.set_cookie(COOKIE, self._cookie, httponly=True, samesite="strict")
            return welcome
        refusal = _error(401, "Send the token: Authorization: Bearer TOKEN, or open /?token=TOKEN")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _error(status: int, message: str) -> Response:
    body = msgspec.json.encode({"error": message})
    return Response(body, status, media_type="application/json")
