"""The site: it is built without a warning, every link in it leads somewhere, and it is complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import sync_playwright
from typer.main import get_command

from tailrace.cli import COMMANDS, GROUPS, build
from tests.docs.markdown import DOCS, ROOT
from tools.install_browser import find_browser

LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("source", "src")}
"""What a browser fetches by itself."""

LEFT_OVER = re.compile(r"(?m)^\s*([-*|]|\d+\.) |\]\(|```|\*\*")


class Html(HTMLParser):
    """Links, anchors and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[tuple[str, str, str]] = []
        """Tag, attribute, address."""
        self.paragraphs: list[str] = []
        """Without the code in them."""
        self.text = ""
        self._within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids |= {name for key in ("id", "name") if (name := given.get(key))}
        self.links += [
            (tag, key, address) for key in ("href", "src") if (address := given.get(key))
        ]
        if tag == "p":
            self.paragraphs.append("")
        if tag in ("code", "p"):
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._within and self._within[-1] == tag:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._within and self._within[-1] == "p":
            self.paragraphs[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning ends the build."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    # What a server shows for a page that is not there has absolute links.
    files = [file for file in site.rglob("*.html") if file.name != "404.html"]
    return {file: Html(file.read_text(encoding="utf-8")) for file in files}


def test_every_page_is_there(site: Path) -> None:
    written = {file.relative_to(DOCS).with_suffix(".html") for file in DOCS.rglob("*.md")}
    made = {Path(f"commands/{name}.html") for name in (*COMMANDS, *GROUPS)}
    built = {file.relative_to(site) for file in site.rglob("*.html")}
    assert written | made <= built
    rest = built - written - made - {Path("404.html")}
    assert all(file.parts[0] == "source" for file in rest), rest


def test_links_anchors_and_pictures(site: Path, pages: dict[Path, Html]) -> None:
    broken = []
    for file, page in pages.items():
        for tag, key, address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if not _well_formed(address):
                    broken.append(f"{file.relative_to(site)}: {address} is no address")
                continue
            to = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if to.is_dir():
                to /= "index.html"
            anchor = unquote(parts.fragment)
            if not to.is_file():
                broken.append(f"{file.relative_to(site)}: <{tag} {key}> {address} is not there")
            elif anchor and to in pages and anchor not in pages[to].ids:
                broken.append(f"{file.relative_to(site)}: {address} has no such anchor")
    assert not broken, "\n".join(broken)


def _well_formed(address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme in ("data", "javascript", "mailto"):
        return True
    return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in address


def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[Path, Html]) -> None:
    foreign = {
        address
        for page in pages.values()
        for tag, key, address in page.links
        if (tag, key) in LOADED and urlsplit(address).netloc
    }
    assert not foreign


def test_no_markdown_is_left_over(site: Path, pages: dict[Path, Html]) -> None:
    """GitHub makes a list or a table of what needs an empty line before it elsewhere."""
    left = [
        f"{file.relative_to(site)}: {text}"
        for file, page in pages.items()
        for text in page.paragraphs
        if LEFT_OVER.search(text)
    ]
    assert not left, "\n".join(left)


def _command_names(name: str) -> Iterator[Any]:
    command = get_command(build()).commands[name]  # type: ignore[attr-defined]
    yield from getattr(command, "commands", {"": command}).values()


@pytest.mark.parametrize("name", [*COMMANDS, *GROUPS])
def test_a_command_has_a_page_with_its_options(pages: dict[Path, Html], name: str) -> None:
    (page,) = (html for file, html in pages.items() if file.match(f"commands/{name}.html"))
    described = 0
    for command in _command_names(name):
        if command.hidden:
            continue
        context = command.make_context(name, [], resilient_parsing=True)
        for param in command.get_params(context):
            hidden = getattr(param, "hidden", False)
            for option in param.opts if param.param_type_name == "option" else []:
                if option not in ("-h", "--help"):
                    assert (f"{option}" in page.text) is not hidden, option
                    described += 1
            if param.param_type_name == "argument" and not hidden:
                assert param.metavar in page.text
                described += 1
            if not hidden and param.help and param.name != "help":
                words = param.help.split()[:4]
                assert " ".join(words) in " ".join(page.text.split()), param.name
    assert described


def test_it_reads_and_searches_from_a_disk(site: Path) -> None:
    executable = find_browser()
    if executable is None:
        pytest.skip("needs Chromium: python tools/install_browser.py")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        asked: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((site / "index.html").as_uri())
        page.get_by_placeholder("Search").click()
        page.get_by_placeholder("Search").press_sequentially("coordinated omission")
        page.locator(".md-search-result__item").first.wait_for(timeout=30_000)
        assert "truth.html" in (
            page.locator(".md-search-result__link").first.get_attribute("href") or ""
        )
        assert not errors
        assert all(url.startswith(("file:", "data:", "blob:", "about:")) for url in asked)
        browser.close()
