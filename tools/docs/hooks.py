"""What MkDocs asks when it builds the site: pages that are made and not written.

    commands/       one page a command, from the command line itself
    source/         files of the repository that a page links to

and a navigation in which a folder, written with a "/" at its end, stands for all of its pages.
"""

from pathlib import Path
from typing import Any

import commands
import sources
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
MARK = "src/tailrace/view/static/mark.svg"
COMMANDS = "commands/"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts its pages in the place of each folder of the navigation."""
    pages = {COMMANDS: [f"{COMMANDS}{name}.md" for name in commands.names()]}
    config.nav = _expanded(config.nav, Path(config.docs_dir), pages)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the commands, and of the files that are linked to."""
    for name in commands.names():
        files.append(_made(config, f"{COMMANDS}{name}.md", commands.page(name)))
    written = {
        f"{sources.DOCS}/{file.src_uri}": file.content_string
        for file in files.documentation_pages()
    }
    for path, content in sources.pages(ROOT, written).items():
        made = _made(config, sources.site_uri(path), content)
        made.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(made)
    mark = File.generated(config, "images/mark.svg", abs_src_path=str(ROOT / MARK))
    files.append(mark)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Points links to files of the repository at their pages."""
    return sources.relinked(ROOT, sources.repository_path(page.file.src_uri), markdown)


def _made(config: MkDocsConfig, uri: str, content: str) -> File:
    return File.generated(config, uri, content=content)


def _expanded(entry: Any, docs: Path, pages: dict[str, list[str]]) -> Any:
    """An entry of the navigation; a folder among others gives its pages a place among them."""
    if isinstance(entry, list):
        each = [_expanded(one, docs, pages) for one in entry]
        return [page for one in each for page in (one if isinstance(one, list) else [one])]
    if isinstance(entry, dict):
        return {title: _expanded(one, docs, pages) for title, one in entry.items()}
    if isinstance(entry, str) and entry.endswith("/"):
        written = sorted((docs / entry).glob("*.md"))
        return pages.get(entry) or [file.relative_to(docs).as_posix() for file in written]
    return entry
