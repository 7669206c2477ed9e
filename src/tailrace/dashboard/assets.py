"""The styles and scripts that pages name, as the browser fetches and keeps them."""

from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

_PACKAGES = ("tailrace.dashboard", "tailrace.view")
_FOLDERS = [Path(str(files(package) / "static")) for package in _PACKAGES]
_FILES = sorted(path for folder in _FOLDERS for path in folder.rglob("*") if path.is_file())
_VERSION = sha256(b"".join(path.read_bytes() for path in _FILES)).hexdigest()[:12]
_STATIC = StaticFiles(packages=[(package, "static") for package in _PACKAGES])

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
"""Keep it, but ask whether it changed: modules that import one another name no version."""


def address(name: str) -> str:
    """Where the file `name` below a folder of them is served, with the version of all in it."""
    return f"/static/{name}?v={_VERSION}"


def styles() -> list[str]:
    """Addresses of all style sheets, the page's own first: the others refine it."""
    names = [path.name for path in _FILES if path.suffix == ".css"]
    return [address(name) for name in sorted(names, key=lambda name: (name != "page.css", name))]


async def serve(path: str, request: Request) -> Response:
    """The file at `path` below /static; one asked for by its version is kept for a year."""
    answer = await _STATIC.get_response(path, request.scope)
    kept = request.query_params.get("v") == _VERSION
    answer.headers["Cache-Control"] = _FOR_EVER if kept else _ASK_AGAIN
    return answer
