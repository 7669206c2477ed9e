"""Takes pictures of a page of a running control room: `python tools/screenshot.py URL`.

Opens the page and waits, so that starting a browser on the same machine is not in the pictures.
Writes NAME.png, NAME-dark.png and NAME-phone.png. Of a report, by `tailrace report`:
`python tools/screenshot.py file:///…/report.html --name report --only light --height 1300`.
"""

import argparse
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from install_browser import ARGUMENTS, find_browser

PICTURES = {
    "light": ("", 1440, "light"),
    "dark": ("-dark", 1440, "dark"),
    "phone": ("-phone", 375, "light"),
}
MAX_BYTES = 300_000
REDRAWN_MS = 2500


def main() -> int:
    """Parse, take the pictures, print their names and sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of the page, such as http://127.0.0.1:8080/services")
    parser.add_argument("--name", default="dashboard", help="of the pictures")
    parser.add_argument("--seconds", type=float, default=63, help="to wait before the first")
    parser.add_argument("--height", type=int, default=900, help="of the wide pictures, in pixels")
    parser.add_argument("--only", choices=PICTURES, help="this picture alone")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    executable = find_browser()
    if executable is None:
        sys.exit("There is no Chromium: run python tools/install_browser.py first")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        page = browser.new_page()
        page.goto(arguments.url)
        page.wait_for_timeout(arguments.seconds * 1000)
        for which in PICTURES if arguments.only is None else (arguments.only,):
            suffix, width, theme = PICTURES[which]
            height = 812 if which == "phone" else arguments.height
            path = arguments.out / f"{arguments.name}{suffix}.png"
            _take(page, path, width, height, theme)
            size = path.stat().st_size
            print(f"{path}  {size / 1000:.0f} kB")
            if size > MAX_BYTES:
                sys.exit(f"{path} is larger than {MAX_BYTES / 1000:.0f} kB")
        browser.close()
    return 0


def _take(page: Page, path: Path, width: int, height: int, theme: str) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.wait_for_selector(f"html[data-theme={theme}]")
    page.wait_for_timeout(REDRAWN_MS)
    page.screenshot(path=path)


if __name__ == "__main__":
    sys.exit(main())
