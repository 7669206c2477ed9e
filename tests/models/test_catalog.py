"""What is told of the models, before and after their files are there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from tailrace.models import store, zoo
from tailrace.models.catalog import ModelEntry, describe


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path))
    return tmp_path


def test_nothing_is_here_yet(cache: Path) -> None:
    entry = describe(zoo.find("resnet50"))
    assert entry.availability == "twin available"
    assert entry.twin is not None
    assert not entry.twin.built
    assert entry.accuracy is not None
    assert entry.accuracy.target == pytest.approx(0.7646 * 0.99)
    for form in entry.formats:
        assert form.file is not None
        assert Path(form.file.path).is_relative_to(cache)
        assert (form.file.size_bytes, form.file.sha256) == (None, None)


def test_a_fetched_file_is_told_of(cache: Path) -> None:
    spec = zoo.find("mobilenet")
    assert describe(spec).availability == "needs file"
    remote = spec.formats[0].file
    assert remote is not None
    file = store.fetched_file(spec, remote)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    assert store.fetch(spec, spec.formats[0]) == file, "put there by hand, and noted now"
    entry = describe(spec)
    assert entry.availability == "fetched"
    told = entry.formats[0].file
    assert told is not None
    assert (told.path, told.size_bytes) == (str(file), 7)
    assert told.sha256 == hashlib.sha256(b"weights").hexdigest()


def test_a_twin_that_was_built_is_told_of(cache: Path) -> None:
    spec = zoo.find("ssd-mobilenet")
    file = store.twin_file(spec)
    twin = describe(spec).twin
    assert twin is not None
    assert (twin.path, twin.built) == (str(file), True)
    assert (twin.runtime, twin.origin) == ("onnx", "TensorFlow")


def test_what_needs_no_file() -> None:
    shapes, null = describe(zoo.find("shapes")), describe(zoo.find("null"))
    assert (shapes.availability, null.availability) == ("embedded", "needs none")
    assert shapes.embedded is not None
    assert Path(shapes.embedded).is_file()
    assert shapes.labels == 10
    assert null.formats[0].file is None


@pytest.mark.parametrize("name", zoo.names())
def test_entries_survive_as_json(name: str) -> None:
    entry = describe(zoo.find(name))
    assert msgspec.json.decode(msgspec.json.encode(entry), type=ModelEntry) == entry
