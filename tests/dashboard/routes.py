"""Prints the path of every route of the control room, as JSON; parameters are filled in.

A process of its own, because NiceGUI keeps one application a process.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from tailrace.control.controller import Controller
from tailrace.dashboard.app import create_app


def paths(routes: Iterable[Any], prefix: str = "") -> Iterator[str]:
    """Of the routes, and of what is included or mounted in them."""
    for route in routes:
        included = getattr(route, "original_router", None)
        path = prefix + getattr(route, "path", "")
        if included is not None:
            yield from paths(included.routes, prefix)
        elif getattr(route, "routes", None):
            yield from paths(route.routes, path)
        else:
            yield re.sub(r"{[^}]*}", "x", path) or "/"


if __name__ == "__main__":
    app = create_app(Controller(), token="secret")
    sys.stdout.write(json.dumps(sorted(set(paths(app.routes)))))
