"""What a browser needs to draw: modules by the name that others import them by, styles, icons."""

from pathlib import Path
from urllib.parse import quote

STATIC = Path(__file__).with_name("static")

MODULES = {"tailrace-timeline": STATIC / "timeline"}
"""Folders of modules; the `index.js` of each is what its bare name stands for."""

MARK = (STATIC / "mark.svg").read_text("utf-8")
FAVICON = "data:image/svg+xml," + quote(MARK)
SUN_AND_MOON = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><g class="sun"><circle cx="12" cy="12" r="4.2"/>'
    '<path d="M12 3v2.2M12 18.8V21M3 12h2.2M18.8 12H21M5.6 5.6l1.6 1.6M16.8 16.8l1.6 1.6'
    'M18.4 5.6l-1.6 1.6M7.2 16.8l-1.6 1.6"/></g>'
    '<path class="moon" d="M19.5 14.2A8 8 0 0 1 9.8 4.5a8 8 0 1 0 9.7 9.7Z"/></svg>'
)
