"""Look and behaviour in the browser: the page's own style, script, mark and chart colours.

Colours are CSS variables, also inside the charts (drawn as SVG), so that light and dark are one
page: switching changes no option and redraws nothing.
"""

from importlib.resources import files
from urllib.parse import quote

_STATIC = files("tailrace.dashboard") / "static"

MARK = (_STATIC / "mark.svg").read_text("utf-8")
FAVICON = "data:image/svg+xml," + quote(MARK)
HEAD = (
    f"<script>{(_STATIC / 'page.js').read_text('utf-8')}</script>"
    f"<style>{(_STATIC / 'page.css').read_text('utf-8')}</style>"
    '<meta name="description" content="Tail latency under open-loop load, live">'
)
SUN_AND_MOON = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><g class="sun"><circle cx="12" cy="12" r="4.2"/>'
    '<path d="M12 3v2.2M12 18.8V21M3 12h2.2M18.8 12H21M5.6 5.6l1.6 1.6M16.8 16.8l1.6 1.6'
    'M18.4 5.6l-1.6 1.6M7.2 16.8l-1.6 1.6"/></g>'
    '<path class="moon" d="M19.5 14.2A8 8 0 0 1 9.8 4.5a8 8 0 1 0 9.7 9.7Z"/></svg>'
)

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TEXT = "var(--text)"
DIM = "var(--dim)"
LINE = "var(--line)"
BAD = "var(--bad)"
SURFACE = "var(--surface)"
RAISED = "var(--raised)"


def colour(name: str) -> str:
    """The colour of a series, `--c-<name>` in page.css."""
    return f"var(--c-{name.replace('_', '-').replace('.', '')})"
