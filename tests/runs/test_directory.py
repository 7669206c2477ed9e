"""Titles, notes and the deletion of runs and searches, in directories of any state."""

import os
from pathlib import Path

import msgspec
import pytest

from tailrace.errors import TailraceError, UsageError
from tailrace.runs.directory import Label, delete, read_label, write_label, write_search
from tailrace.runs.listing import list_runs, list_searches
from tests.kit.samples import FOUND


def make_finished(base: Path, name: str) -> Path:
    path = base / name
    path.mkdir(parents=True)
    (path / "run.json").write_text('{"target": "http://h/", "started": "2026-01-01T00:00:00Z"}')
    return path


def test_a_run_has_the_title_and_note_that_it_was_given(tmp_path: Path) -> None:
    path = make_finished(tmp_path, "a")
    assert list_runs(tmp_path)[0].title == ""
    write_label(path, " two workers ", None)
    write_label(path, None, "after the\nnew driver <b>")
    (info,) = list_runs(tmp_path)
    assert (info.title, info.note) == ("two workers", "after the\nnew driver <b>")
    write_label(path, "", None)
    assert read_label(path) == Label(note="after the\nnew driver <b>")


@pytest.mark.parametrize("title", ["two\nlines", "x" * 201, "bell\a"])
def test_a_title_is_one_line(tmp_path: Path, title: str) -> None:
    path = make_finished(tmp_path, "a")
    with pytest.raises(UsageError, match="one line"):
        write_label(path, title, None)
    with pytest.raises(UsageError, match="10,000"):
        write_label(path, None, "x" * 10_001)
    assert read_label(path) == Label()


def test_what_somebody_else_wrote_is_no_label_and_leads_nowhere(tmp_path: Path) -> None:
    path = make_finished(tmp_path, "a")
    for content in ("[" * 100_000, '{"title": 3}', "\0", '{"title": "' + "x" * 200_000 + '"}'):
        (path / "label.json").write_text(content)
        assert read_label(path) == Label()
    (path / "label.json").write_text('{"title": "' + "x" * 9_000 + '"}')
    assert len(list_runs(tmp_path)[0].title) == 200
    outside = tmp_path / "outside"
    outside.write_text("mine")
    for name in ("label.json", ".label.json.tmp"):
        (path / name).unlink(missing_ok=True)
        (path / name).symlink_to(outside)
        write_label(path, "new", None)
        assert outside.read_text() == "mine"
        assert read_label(path).title == "new"
    (path / "label.json").unlink()
    os.mkfifo(path / "label.json")
    assert read_label(path) == Label()


def test_a_search_is_listed_with_what_it_found(tmp_path: Path) -> None:
    write_search(tmp_path / "found", FOUND)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "find.json").write_text("{")
    write_label(tmp_path / "found", "the old card", None)
    info, broken = sorted(list_searches(tmp_path), key=lambda search: -search.steps)
    assert (broken.name, broken.ended_by, broken.confirmed) == ("broken", "broken", False)
    assert (info.name, info.title, info.slo) == ("found", "the old card", "p99<100ms")
    assert (info.rate_per_s, info.confirmed, info.steps) == (420.0, True, 3)
    assert info.ended.startswith("20")
    assert list_runs(tmp_path) == ()
    assert msgspec.json.decode(msgspec.json.encode(info), type=type(info)) == info


def test_only_what_a_run_made_is_deleted(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    path = make_finished(tmp_path / "runs", "a")
    (path / "link").symlink_to(outside)
    delete(path)
    assert not path.exists()
    assert (outside / "kept").exists()
    (outside / "run.json").write_text("{}")
    linked = tmp_path / "runs" / "linked"
    linked.symlink_to(outside)
    delete(linked)
    assert not linked.is_symlink()
    assert (outside / "kept").exists()
    full = make_finished(tmp_path / "runs", "full")
    for more in ("more", "s.parquet.parts/more"):
        (full / more).mkdir(parents=True)
        with pytest.raises(UsageError, match="by hand"):
            delete(full)
        assert (full / "run.json").exists()
        (full / more).rmdir()
    (full / "s.parquet.parts" / "link").symlink_to(outside)
    delete(full)
    assert (outside / "kept").exists()
    with pytest.raises(TailraceError, match="cannot delete"):
        delete(tmp_path / "runs" / "absent")
