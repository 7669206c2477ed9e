"""Files of the repository as pages: what the docs link to outside of their own folder.

On GitHub such a link leads to the file; in the site to a page that shows it. A Markdown file is
shown as text, with its own links followed, a folder (its path ends with a "/") as a list of what is
in it, any other as code.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

DOCS = "docs"
_SHOWN = "source"
_FENCE = re.compile(r"^\s*(```+|~~~+)")
_LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
_LANGUAGES = {
    ".py": "python",
    ".toml": "toml",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".sh": "bash",
    ".proto": "protobuf",
}
_UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n"


def site_uri(path: str) -> str:
    """Where the site has the file of this path in the repository, as a Markdown page."""
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    if path.endswith("/"):
        return f"{_SHOWN}/{path}index.md"
    return f"{_SHOWN}/{path}{'' if path.endswith('.md') else '.md'}"


def repository_path(uri: str) -> str:
    """The path in the repository of a page of the site; one that was made lies in `docs` too."""
    if uri.startswith(f"{_SHOWN}/"):
        # What is no Markdown is shown as code: it has no links, so its folder is all that matters.
        return uri.removeprefix(f"{_SHOWN}/")
    return f"{DOCS}/{uri}"


def pages(root: Path, written: Mapping[str, str]) -> dict[str, str]:
    """The page of each file outside `docs` that is linked to, by its path; links of these pages
    are followed as well. `written` has the text of each page by its path."""
    found: dict[str, str] = {}
    unread = dict(written)
    while unread:
        path, text = unread.popitem()
        for link in links(text):
            to = _target(root, path, link)
            if to is None or to in found:
                continue
            found[to] = page = _page(root, to)
            if to.endswith((".md", "/")):
                unread[to] = page
    return found


def links(markdown: str) -> Iterator[str]:
    """The target of each link and picture, those in code left out."""
    for line in _prose(markdown):
        yield from _LINK.findall(line)


def relinked(root: Path, path: str, markdown: str) -> str:
    """The text of the page of `path`, with each link to a file of the repository as one to its
    page in the site."""
    here = posixpath.dirname(site_uri(path))

    def relink(match: re.Match[str]) -> str:
        to = _target(root, path, match[0], inside=not path.startswith(f"{DOCS}/"))
        if to is None:
            return match[0]
        _, hash_, anchor = match[0].partition("#")
        return f"{posixpath.relpath(site_uri(to), here or '.')}{hash_}{anchor}"

    prose = set(_prose_lines(markdown))
    return "\n".join(
        _LINK.sub(relink, line) if number in prose else line
        for number, line in enumerate(markdown.split("\n"))
    )


def _target(root: Path, path: str, link: str, inside: bool = False) -> str | None:
    """The file or folder that a link of the page of `path` leads to, if it is of the repository; a
    file in `docs` counts if `inside`."""
    name = link.partition("#")[0]
    if not name or ":" in name or name.startswith("/"):
        return None
    to = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
    if to.startswith("../") or (not inside and to.startswith(f"{DOCS}/")):
        return None
    if (root / to).is_dir():
        return None if f"{to}/".startswith(f"{DOCS}/") else f"{to}/"
    return to if (root / to).is_file() else None


def _page(root: Path, path: str) -> str:
    if path.endswith("/"):
        names = sorted(each.name for each in (root / path).iterdir() if each.name[0] not in "._")
        listed = "\n".join(f"- [{name}]({name})" for name in names)
        return f"{_UNSEARCHED}# {path}\n\n{listed}\n"
    content = (root / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return _UNSEARCHED + content
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", content)), default=0))
    language = _LANGUAGES.get(Path(path).suffix, "text")
    return f"{_UNSEARCHED}# {path}\n\n{fence}{language}\n{content.rstrip()}\n{fence}\n"


def _prose(markdown: str) -> Iterator[str]:
    lines = markdown.split("\n")
    return (lines[number] for number in _prose_lines(markdown))


def _prose_lines(markdown: str) -> Iterator[int]:
    """Numbers of the lines outside of code blocks."""
    fence = ""
    for number, line in enumerate(markdown.split("\n")):
        match = _FENCE.match(line)
        if not fence and match:
            fence = match[1]
        elif fence and match and match[1].startswith(fence):
            fence = ""
        elif not fence:
            yield number
