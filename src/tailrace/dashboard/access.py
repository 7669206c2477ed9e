"""Who may reach the control room, and with what: a load generator that anyone may start is a
weapon, and one on loopback is within reach of every web page.
"""

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailrace.control.faces.rest import answer_error
from tailrace.control.guesses import Guesses
from tailrace.control.interface import NotAllowedError
from tailrace.dashboard.login import Login
from tailrace.errors import TailraceError
from tailrace.net import names_loopback

BODY_BYTES = 2**20
BODY_S = 10.0
_FORM_BYTES = 4096

# NiceGUI's page has scripts within it, and Vue compiles templates in the browser; what the policy
# adds is that nothing is fetched from, or sent to, another host.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": _POLICY,
}


class CrossSiteError(TailraceError):
    """Another site's page asked this control room to change something."""

    http_status = 403
    rpc_status = "PERMISSION_DENIED"


class BodyError(TailraceError):
    """A request body that is too long, status 413, or did not come in time, status 408."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.http_status = status


class Access:
    """ASGI middleware around pages, their socket, REST and the original's URLs.

    Without a token the server is meant for this machine alone: only loopback names are answered,
    so that no web page reaches it under a name of its own (DNS rebinding). With a token, programs
    send it as a bearer token (RFC 6750), and a browser is asked for it once, on a login page.
    No other site's page may open the socket or change anything in either case, and browsers are
    told not to show the pages within others. A request's body is read before it is passed on:
    BODY_BYTES at most, within `body_s`.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str | None = None,
        guesses: Guesses | None = None,
        body_s: float = BODY_S,
    ) -> None:
        self._app = app
        self._login = Login(token, guesses) if token is not None else None
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            refusal = await self._refusal(scope, headers, receive)
            if refusal is None and scope["type"] == "http":
                receive = _replay(await self._read_body(headers, receive, BODY_BYTES), receive)
        except TailraceError as error:
            refusal = answer_error(error)
            if error.http_status == 408:
                # The rest of it is not waited for.
                refusal.headers["Connection"] = "close"
        if refusal is not None and scope["type"] == "websocket":
            # Before it was accepted: the server answers 403.
            await send({"type": "websocket.close", "code": 1008})
            return
        await (refusal or self._app)(scope, receive, _with_headers(send))

    async def _refusal(self, scope: Scope, headers: Headers, receive: Receive) -> Response | None:
        """What to answer instead; an error is answered as itself."""
        path, verb = scope["path"], scope.get("method")
        changes_by_get = path.endswith(".do")  # the original's URLs
        # All but GET and HEAD may change something (RFC 9110, 9.2.1), and so may a websocket.
        if (verb not in ("GET", "HEAD") or changes_by_get) and _is_cross_site(headers):
            raise CrossSiteError("Refused: only this control room's own pages may do this")
        if self._login is None:
            if not names_loopback(headers.get("host", "")):
                raise NotAllowedError(
                    "Without TAILRACE_TOKEN only 127.0.0.1 and localhost are answered"
                )
            return None
        if (path, verb) == ("/login", "POST"):
            return self._login.begin(scope, await self._read_body(headers, receive, _FORM_BYTES))
        # Where a browser may tell nothing: with a GET over plain HTTP to another machine.
        is_told = any(name in headers for name in ("origin", "referer", "sec-fetch-site"))
        if changes_by_get and not is_told and self._login.has_session(scope):
            raise CrossSiteError(
                "Refused: whose page asked for this cannot be told over plain HTTP; use POST, the "
                "bearer token, or HTTPS"
            )
        return self._login.answer(scope, headers)

    async def _read_body(self, headers: Headers, receive: Receive, most_bytes: int) -> bytes:
        """The body; what there is of it if the client leaves."""
        too_long = BodyError(f"the body is too long: the limit is {most_bytes:,} bytes", 413)
        # The HTTP parser has seen to it that the length is a number.
        if int(headers.get("content-length", "0")) > most_bytes:
            raise too_long
        body, more = b"", True
        try:
            async with asyncio.timeout(self._body_s):
                while more:
                    message = await receive()
                    more = message.get("more_body", False)
                    body += message.get("body", b"")
                    if len(body) > most_bytes:
                        raise too_long
        except TimeoutError:
            raise BodyError(f"the body was not complete after {self._body_s:g} s", 408) from None
        return body


def _is_cross_site(headers: Headers) -> bool:
    """Whether a browser sent this on behalf of a page of another origin.

    Programs send none of these headers; browsers send at least one of them with whatever could
    change something, but for a GET over plain HTTP to another machine.
    """
    host = headers.get("host", "").lower()
    for source in ("origin", "referer"):
        page = headers.get(source)
        if page is not None and (_authority(page) != host or not host):
            return True
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def _authority(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].lower()


def _replay(body: bytes, receive: Receive) -> Receive:
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return parts.pop() if parts else await receive()

    return replayed


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent
