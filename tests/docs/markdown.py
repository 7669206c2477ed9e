"""What is written: the Markdown files of the repository, their code and their text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FILES = sorted(
    file
    for pattern in ("docs/**/*.md", "*.md", "examples/*.md", "deploy/*.md")
    for file in ROOT.glob(pattern)
)
"""Every page, and what stands beside the code."""
NAMES = [str(file.relative_to(ROOT)) for file in FILES]

_FENCE = re.compile(r"^( *)(```+|~~~+)(\w*)\s*$")
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


class Code(NamedTuple):
    """A block of code, or a piece of it within a line."""

    language: str
    text: str
    line: int
    inline: bool = False


def read(file: Path) -> tuple[list[Code], list[tuple[int, str]]]:
    """The code of a file, and its other lines with their numbers."""
    code: list[Code] = []
    prose: list[tuple[int, str]] = []
    block: list[str] = []
    fence: re.Match[str] | None = None
    began = 0
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        match = _FENCE.match(line)
        if fence is None and match is not None:
            fence, block, began = match, [], number
        elif fence is None:
            prose.append((number, line))
            code += [Code("", text, number, inline=True) for text in _INLINE.findall(line)]
        elif match is not None and match[2] == fence[2] and not match[3]:
            code.append(Code(fence[3], "\n".join(block) + "\n", began))
            fence = None
        else:
            block.append(line.removeprefix(fence[1]))
    assert fence is None, f"{file}: the block of line {began} has no end"
    return code, prose


def blocks(file: Path, language: str) -> list[str]:
    """The blocks of code in a language."""
    return [code.text for code in read(file)[0] if code.language == language and not code.inline]


def every_code() -> Iterator[tuple[str, Code]]:
    """All code of all files, with the file's name."""
    for name, file in zip(NAMES, FILES, strict=True):
        for code in read(file)[0]:
            yield name, code
