"""What stands where a file should, from somebody who means harm."""

import os
from pathlib import Path


def link(path: Path) -> None:
    """To a file that is there, beside it."""
    path.with_name("real").write_text("{}")
    path.symlink_to("real")


def device(path: Path) -> None:
    """Which never ends."""
    path.symlink_to("/dev/zero")


def sparse(path: Path) -> None:
    """10 GiB that take no room."""
    path.touch()
    os.truncate(path, 10 * 2**30)
