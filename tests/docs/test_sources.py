"""Links that read on GitHub and in the site."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.docs import sources


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("docs/a.md", "docs/deep/b.md", "examples/c.py", "NOTES.md", "LICENSE"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"text of {name}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("page", "written", "shown"),
    [
        # Within docs nothing changes.
        ("docs/a.md", "deep/b.md#x", "deep/b.md#x"),
        ("docs/deep/b.md", "../a.md", "../a.md"),
        # Other files of the repository have a page.
        ("docs/a.md", "../examples/c.py", "source/examples/c.py.md"),
        ("docs/deep/b.md", "../../examples/c.py", "../source/examples/c.py.md"),
        ("docs/a.md", "../NOTES.md#part", "source/NOTES.md#part"),
        ("docs/a.md", "../LICENSE", "source/LICENSE.md"),
        # A page outside docs links into it, and to its like.
        ("NOTES.md", "docs/a.md", "../a.md"),
        ("NOTES.md", "examples/c.py", "examples/c.py.md"),
        # What is no file stays, for the build to complain.
        ("docs/a.md", "../examples/gone.py", "../examples/gone.py"),
        ("docs/a.md", "../examples", "../examples"),
        ("docs/a.md", "../../outside.md", "../../outside.md"),
        ("docs/a.md", "https://example.org/c.py", "https://example.org/c.py"),
        ("docs/a.md", "#here", "#here"),
    ],
)
def test_links(repository: Path, page: str, written: str, shown: str) -> None:
    text = f"See [it]({written}) and ![this]({written}).\n"
    assert sources.relinked(repository, page, text) == text.replace(written, shown)


def test_code_is_left_alone(repository: Path) -> None:
    text = "```\n[c](../examples/c.py)\n```\n[c](../examples/c.py)\n"
    shown = "```\n[c](../examples/c.py)\n```\n[c](source/examples/c.py.md)\n"
    assert sources.relinked(repository, "docs/a.md", text) == shown
    assert list(sources.links(text)) == ["../examples/c.py"]


def test_pages_of_what_is_linked_to_and_on_from_there(repository: Path) -> None:
    (repository / "NOTES.md").write_text("[c](examples/c.py), [a](docs/a.md)\n")
    (repository / "examples/c.py").write_text('"""```"""\n')
    found = sources.pages(repository, {"docs/a.md": "[notes](../NOTES.md) [gone](../gone.py)"})
    assert set(found) == {"NOTES.md", "examples/c.py"}
    assert found["examples/c.py"].endswith('# examples/c.py\n\n````python\n"""```"""\n````\n')
    assert "[c](examples/c.py)" in found["NOTES.md"]


@pytest.mark.parametrize("path", ["docs/a.md", "docs/deep/b.md", "NOTES.md"])
def test_a_page_is_found_again(path: str) -> None:
    assert sources.repository_path(sources.site_uri(path)) == path
