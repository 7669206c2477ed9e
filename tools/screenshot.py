"""Takes the README's pictures of a running dashboard: `python tools/screenshot.py URL`.

Opens the page and waits for the wanted seconds of data, so that starting a browser on the same
machine is not in the pictures. Writes dashboard.png, dashboard-dark.png and dashboard-phone.png.
"""

import argparse
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from install_browser import find_browser

PICTURES = {
    "dashboard": (1440, 900, "light"),
    "dashboard-dark": (1440, 900, "dark"),
    "dashboard-phone": (375, 812, "light"),
}
MAX_BYTES = 300_000
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SHOWN_S = """
opened => {
  const chart = document.querySelector('[data-chart=latency]');
  const drawn = chart && getElement(Number(chart.id.slice(1)))?.chart;
  const last = drawn && drawn.getOption().dataset[0].source.at(-1);
  return last ? (last[0] - opened) / 1000 : 0;
}
"""
DRAWN_TO_FIT = """
() => [...document.querySelectorAll('[data-chart]')].every(
  chart => chart.offsetWidth === 0 || chart.querySelector('svg').clientWidth === chart.offsetWidth
)
"""


def main() -> int:
    """Parse, take the pictures, print their names and sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of a running dashboard, such as http://127.0.0.1:8080")
    parser.add_argument("--seconds", type=int, default=63, help="of data to wait for")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    executable = find_browser()
    if executable is None:
        sys.exit("There is no Chromium: run python tools/install_browser.py first")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        page = browser.new_page()
        page.goto(arguments.url)
        page.wait_for_function(
            f"opened => ({SHOWN_S})(opened) >= {arguments.seconds}",
            arg=time.time() * 1000,
            timeout=(arguments.seconds + 60) * 1000,
        )
        for name in PICTURES:
            path = arguments.out / f"{name}.png"
            _take(page, name, path)
            size = path.stat().st_size
            print(f"{path}  {size / 1000:.0f} kB")
            if size > MAX_BYTES:
                sys.exit(f"{path} is larger than {MAX_BYTES / 1000:.0f} kB")
        browser.close()
    return 0


def _take(page: Page, name: str, path: Path) -> None:
    width, height, theme = PICTURES[name]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.wait_for_selector(f"html[data-theme={theme}]")
    page.wait_for_function(DRAWN_TO_FIT)
    page.screenshot(path=path)


if __name__ == "__main__":
    sys.exit(main())
