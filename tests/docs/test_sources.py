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
        # So has a folder.
        ("docs/a.md", "../examples", "source/examples/index.md"),
        ("docs/deep/b.md", "../../examples/", "../source/examples/index.md"),
        # A page outside docs links into it, and to its like.
        ("NOTES.md", "docs/a.md", "../a.md"),
        ("NOTES.md", "examples/c.py", "examples/c.py.md"),
        # What is no file stays, for the build to complain.
        ("docs/a.md", "../examples/gone.py", "../examples/gone.py"),
        ("docs/a.md", "../gone", "../gone"),
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


def test_a_folder_is_a_list_of_what_is_in_it(repository: Path) -> None:
    (repository / "examples/inner").mkdir()
    (repository / "examples/inner/d.yaml").write_text("a: 1\n")
    (repository / "examples/__pycache__").mkdir()
    found = sources.pages(repository, {"docs/a.md": "[all](../examples)"})
    assert set(found) == {
        *("examples/", "examples/c.py", "examples/inner/", "examples/inner/d.yaml")
    }
    assert found["examples/"].endswith("# examples/\n\n- [c.py](c.py)\n- [inner](inner)\n")
    shown = sources.relinked(
        repository, sources.repository_path("source/examples/index.md"), found["examples/"]
    )
    assert "[c.py](c.py.md)" in shown
    assert "[inner](inner/index.md)" in shown


@pytest.mark.parametrize("path", ["docs/a.md", "docs/deep/b.md", "NOTES.md"])
def test_a_page_is_found_again(path: str) -> None:
    assert sources.repository_path(sources.site_uri(path)) == path
