"""The styles and scripts below static/, as the browser fetches and keeps them."""

from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

_FOLDER = Path(__file__).with_name("static")
_FILES = sorted(path for path in _FOLDER.rglob("*") if path.is_file())
_VERSION = sha256(b"".join(path.read_bytes() for path in _FILES)).hexdigest()[:12]
_STATIC = StaticFiles(directory=_FOLDER)

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
"""Keep it, but ask whether it changed: modules that import one another name no version."""


def address(name: str) -> str:
    """Where the file `name` below static/ is served, with the version of all files in it."""
    return f"/static/{name}?v={_VERSION}"


def styles() -> list[str]:
    """Addresses of all style sheets, the page's own first: the others refine it."""
    names = [path.name for path in _FILES if path.suffix == ".css"]
    return [address(name) for name in sorted(names, key=lambda name: (name != "page.css", name))]


async def serve(path: str, request: Request) -> Response:
    """The file at `path` below static/; one asked for by its version is kept for a year."""
    answer = await _STATIC.get_response(path, request.scope)
    kept = request.query_params.get("v") == _VERSION
    answer.headers["Cache-Control"] = _FOR_EVER if kept else _ASK_AGAIN
    return answer
