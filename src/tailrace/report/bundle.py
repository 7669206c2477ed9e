"""What the browser runs, packed into the page: our modules and the library that draws.

Modules import one another by address, and a page opened from a disk has none to offer. So each
gets a name in an import map, which the page makes of what is packed here (see static/start.js).
"""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from functools import cache, partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from tailrace.view.markup import MODULES, STATIC

_STATIC = Path(str(files("tailrace.report") / "static"))

_SHEETS = ("page.css", "timeline.css", "xray.css")

ENTRY = "tailrace-report/report.js"

_IMPORT = re.compile(r'((?:^|[;}\s])(?:import|export)\b[^"();]*?from\s*|^import\s*)"([^"]+)"', re.M)


@cache
def style() -> str:
    """All style sheets of the page."""
    sheets = (*(STATIC / name for name in _SHEETS), _STATIC / "report.css")
    return "\n".join(sheet.read_text("utf-8") for sheet in sheets)


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
            source = _file(name).read_text("utf-8")
            found[name] = _IMPORT.sub(partial(_renamed, name), source)
            wanted += _imported(found[name])
    return found


@cache
def packed_modules() -> str:
    """All of `modules`, packed."""
    return pack(json.dumps(modules()))


def pack(text: str) -> str:
    """`text` as base64 of its gzip: a tenth as long, and nothing in it can end a script."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _imported(source: str) -> Iterator[str]:
    return (match[2] for match in _IMPORT.finditer(source))


def _renamed(importer: str, match: re.Match[str]) -> str:
    name = match[2]
    if name.startswith("./"):
        name = f"{importer.rpartition('/')[0]}/{name[2:]}"
    elif "/" not in name:
        name = f"{name}/index.js"
    return f'{match[1]}"{name}"'


def _file(name: str) -> Path:
    package, _, path = name.partition("/")
    return _folder(package) / path


def _folder(package: str) -> Path:
    match package:
        case "tailrace-report":
            return _STATIC
        case "tailrace-timeline":
            return MODULES[package]
        case "nicegui-echart":
            # Found without importing it: NiceGUI takes a second, and only its file is of use here.
            spec = find_spec("nicegui")
            assert spec is not None
            assert spec.submodule_search_locations is not None
            return Path(spec.submodule_search_locations[0]) / "elements/echart/dist"
    raise ValueError(f"no module {package!r} is known")
