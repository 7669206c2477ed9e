"""Requests that a browser makes on behalf of another site's page.

A load generator that any web page may start is a weapon, and one on loopback is within reach of
every web page.
"""

from starlette.datastructures import Headers
from starlette.types import Scope

from tailrace.errors import TailraceError


class CrossSiteError(TailraceError):
    """Another site's page asked this control room to change something."""

    http_status = 403
    rpc_status = "PERMISSION_DENIED"


def may_change(scope: Scope) -> bool:
    """Whether a request may change something: every one but GET and HEAD (RFC 9110, 9.2.1), each
    opening of a websocket, and the original's URLs, which do so by GET.
    """
    return scope.get("method") not in ("GET", "HEAD") or scope["path"].endswith(".do")


def is_cross_site(headers: Headers) -> bool:
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


def is_told(headers: Headers) -> bool:
    """Whether the browser tells at all on whose behalf it sent this."""
    return any(name in headers for name in ("origin", "referer", "sec-fetch-site"))


def _authority(url: str) -> str:
    return url.partition("://")[2].partition("/")[0].lower()
