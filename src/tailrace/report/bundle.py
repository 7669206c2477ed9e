"""What the browser runs, packed into the page: our modules and the library that draws.

Modules import one another by address, and a page opened from a disk has none to offer. So each
gets a name in an import map, which the page makes of what is packed here (see static/start.js).
"""

import base64
import gzip
import json
import re
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

from tailrace.view.markup import MODULES, STATIC

_STATIC = Path(__file__).with_name("static")
_SHEETS = (
    *(STATIC / name for name in ("page.css", "timeline.css", "xray.css")),
    _STATIC / "report.css",
)
ENTRY = "tailrace-report/report.js"

_IMPORT = re.compile(r'((?:^|[;}\s])(?:import|export)\b[^"();]*?from\s*|^import\s*)"([^"]+)"', re.M)


@cache
def style() -> str:
    """All style sheets of the page."""
    return "\n".join(sheet.read_text("utf-8") for sheet in _SHEETS)


def start_script() -> str:
    """The script that unpacks and starts the rest."""
    return (_STATIC / "start.js").read_text("utf-8")


def modules() -> dict[str, str]:
    """Each module that ENTRY needs, itself included, by the name that the others import it by."""
    found: dict[str, str] = {}
    wanted = [ENTRY]
    while wanted:
        name = wanted.pop()
        if name not in found:
            package, _, path = name.partition("/")
            source = (_folders()[package] / path).read_text("utf-8")
            found[name] = _IMPORT.sub(partial(_renamed, name), source)
            wanted += [match[2] for match in _IMPORT.finditer(found[name])]
    return found


@cache
def packed_modules() -> str:
    """All of `modules`, packed."""
    return pack(json.dumps(modules()))


def pack(text: str) -> str:
    """`text` as base64 of its gzip: a tenth as long, and nothing in it can end a script."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _renamed(importer: str, match: re.Match[str]) -> str:
    name = match[2]
    if name.startswith("./"):
        name = f"{importer.rpartition('/')[0]}/{name[2:]}"
    elif "/" not in name:
        name = f"{name}/index.js"
    return f'{match[1]}"{name}"'


@cache
def _folders() -> dict[str, Path]:
    # Found without importing it: NiceGUI takes a second, and only one file of it is of use here.
    nicegui = find_spec("nicegui")
    assert nicegui is not None
    assert nicegui.submodule_search_locations is not None
    echart = Path(nicegui.submodule_search_locations[0]) / "elements/echart/dist"
    return {"tailrace-report": _STATIC, "nicegui-echart": echart, **MODULES}
