"""Bearer tokens (RFC 6750)."""

from __future__ import annotations

import hmac

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_OPEN = frozenset({"/v2/health/live", "/v2/health/ready"})


class TokenGuard:
    """ASGI middleware that lets nothing but health checks through without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 401."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("authorization", "").encode("latin-1")
        if scope["path"] in _OPEN or hmac.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
            return
        refusal = Response(
            msgspec.json.encode({"error": "send the token: Authorization: Bearer TOKEN"}),
            401,
            media_type="application/json",
            headers={"WWW-Authenticate": "Bearer"},
        )
        await refusal(scope, receive, send)
