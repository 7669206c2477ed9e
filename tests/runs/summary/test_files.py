"""The files that a pipeline reads: what is written when, and what is said where it cannot be."""

from pathlib import Path

import pytest

from tailrace.errors import TailraceError, UsageError
from tailrace.runs.summary.files import SummaryFiles
from tailrace.runs.summary.summary import of_failure

FULL = Path("/dev/full")


def test_until_there_is_a_result_the_file_says_that_there_is_none(tmp_path: Path) -> None:
    files = SummaryFiles("load", "http://h/", tmp_path / "j.xml", tmp_path / "s.md")
    assert "did not come to its end" in (tmp_path / "j.xml").read_text()
    assert (tmp_path / "s.md").read_text() == ""
    with pytest.raises(TailraceError, match="gone"), files.failures():
        raise TailraceError("the service is gone")
    for file in ("j.xml", "s.md"):
        assert "the service is gone" in (tmp_path / file).read_text()


@pytest.mark.parametrize("place", [(0, 1), (1, 0)])
def test_the_file_that_cannot_be_written_is_named(tmp_path: Path, place: tuple[int, int]) -> None:
    there = (tmp_path / "there", tmp_path / "absent/file")
    with pytest.raises(UsageError, match=r"cannot write .*/absent/file: No such file"):
        SummaryFiles("load", "http://h/", there[place[0]], there[place[1]])
    both = (there[0], FULL)
    with pytest.raises(TailraceError, match="cannot write /dev/full: No space left"):
        SummaryFiles("load", "x", both[place[0]], both[place[1]]).write(of_failure("load", "x", ""))
