"""Makes a Chromium available to the tests of the page; does nothing where there is one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""It is started with: no window, and nothing fetched that no page asks for."""


def find_browser() -> str | None:
    """The executable of an installed Chromium or Chrome, in PATH or Playwright's own; None if
    there is none.
    """
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def main() -> int:
    """Find or install a browser; the exit status says whether there is one now."""
    if path := find_browser():
        print(f"Browser for the tests: {path}")
        return 0
    for label, commands in _ways():
        print(f"No Chromium found: installing it with {label} ...", flush=True)
        if all(_run(command) for command in commands) and (path := find_browser()):
            print(f"Browser for the tests: {path}")
            return 0
    print(
        "No Chromium could be installed. Install chromium or google-chrome and have it in PATH; "
        "the tests in tests/dashboard need it.",
        file=sys.stderr,
    )
    return 1


def _ways() -> list[tuple[str, list[Sequence[str]]]]:
    ways: list[tuple[str, list[Sequence[str]]]] = []
    if shutil.which("apt-get") and os.geteuid() == 0:
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
        ways.append(("apt-get", [["apt-get", "update", "-qq"], [*install, "fonts-dejavu-core"]]))
    playwright = [sys.executable, "-m", "playwright", "install", "chromium"]
    ways.append(("playwright install chromium", [playwright]))
    return ways


def _run(command: Sequence[str]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        print(f"  {' '.join(command[:3])} ... failed: {''.join(last)}", file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
