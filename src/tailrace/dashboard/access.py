"""Who may reach the control room: a load generator that anyone may start is a weapon."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailrace.control.faces.answers import answer_error
from tailrace.control.guesses import Guesses
from tailrace.control.interface import NotAllowedError
from tailrace.dashboard.body_limit import BodyLimit
from tailrace.dashboard.cross_site import CrossSiteError, is_cross_site, may_change
from tailrace.dashboard.login import Login
from tailrace.net import names_loopback

# NiceGUI's page has scripts within it, and Vue compiles templates in the browser; what the policy
# adds is that nothing is fetched from, or sent to, another host.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": _POLICY,
}


class Access:
    """ASGI middleware around pages, their socket, REST and the original's URLs.

    Without a token the server is meant for this machine alone: only loopback names are answered,
    so that no web page reaches it under a name of its own (DNS rebinding). With a token, programs
    send it as a bearer token (RFC 6750), and a browser is asked for it once, on a login page.
    No other site's page may open the socket or change anything in either case; request bodies are
    bounded, and browsers are told not to show the pages within others.
    """

    def __init__(
        self, app: ASGIApp, token: str | None = None, guesses: Guesses | None = None
    ) -> None:
        self._app = BodyLimit(app)
        self._login = Login(token, guesses) if token is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope, receive)
        if refusal is not None and scope["type"] == "websocket":
            # Before it was accepted: the server answers 403.
            await send({"type": "websocket.close", "code": 1008})
            return
        await (refusal or self._app)(scope, receive, _with_headers(send))

    async def _refusal(self, scope: Scope, receive: Receive) -> Response | None:
        headers = Headers(scope=scope)
        if may_change(scope) and is_cross_site(headers):
            return answer_error(
                CrossSiteError("Refused: only this control room's own pages may do this")
            )
        if self._login is not None:
            return await self._login.answer(scope, receive)
        if names_loopback(headers.get("host", "")):
            return None
        return answer_error(
            NotAllowedError("Without TAILRACE_TOKEN only 127.0.0.1 and localhost are answered")
        )


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent
