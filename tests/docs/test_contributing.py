"""The table of CONTRIBUTING.md, "To add X, touch Y", names files and names that there are."""

import re

import pytest

from tests.kit.paths import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
SECTION = PAGE.partition("\n## To add X, touch Y\n")[2].partition("\n## ")[0]
ROWS = [line for line in SECTION.splitlines() if line.startswith("| ")][2:]
FOLDERS = (ROOT, ROOT / "src/tailrace")


def test_there_are_rows() -> None:
    assert len(ROWS) >= 10


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_each_name_of_a_row_stands_in_one_of_its_files(row: str) -> None:
    said = re.findall(r"`([^`]+)`", row)
    names = {text for text in said if re.fullmatch(r"_?[A-Za-z_]+", text)}
    paths = [text for text in said if re.fullmatch(r"[\w/-]+\.(?:py|js|css|md)", text)]
    files = [folder / path for path in paths for folder in FOLDERS if (folder / path).is_file()]
    assert len(files) == len(paths), paths
    texts = [file.read_text("utf-8") for file in files]
    missing = {name for name in names if not any(re.search(rf"\b{name}\b", t) for t in texts)}
    assert missing == set()
