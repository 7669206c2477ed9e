"""Where fetched files lie."""

import os
from pathlib import Path

from tailrace.errors import UsageError


def cache_dir() -> Path:
    """$TAILRACE_CACHE, else the folder `tailrace` in $XDG_CACHE_HOME or ~/.cache; it may not exist.

    A relative $XDG_CACHE_HOME is ignored, as the XDG base directory specification demands.

    Raises:
        UsageError: there is no home directory either.
    """
    try:
        if own := os.environ.get("TAILRACE_CACHE"):
            return Path(own).expanduser()
        xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "tailrace"
    except RuntimeError as error:
        raise UsageError("there is no home directory: set TAILRACE_CACHE to a folder") from error
