"""COCO's validation set, fetched from its makers."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from tailrace.datasets.coco import PREFERRED
from tailrace.download import download, extract
from tailrace.download.part import unwritable, write_whole
from tailrace.errors import TailraceError, UsageError

COCO_URL = "http://images.cocodataset.org"

_CONNECTIONS = 8
_FOLDER = "val2017"
_ARCHIVE = "annotations_trainval2017.zip"
_WHOLE = "whole_val2017.json"
_JPEG_SIGNATURE = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the work, and what its progress counts."""

    name: str
    unit: Literal["bytes", "pictures"]


ANNOTATIONS = Step("annotations", "bytes")
ARCHIVE = Step("pictures, packed", "bytes")
PICTURES = Step("pictures", "pictures")

Progress = Callable[[Step, int, int | None], None]
"""Told how far a step is, and how far it goes or None."""


def fetch_coco(
    directory: Path,
    count: int | None = None,
    progress: Progress = lambda step, done, total: None,
    *,
    url: str = COCO_URL,
) -> Path:
    """Fetches COCO val2017 into `directory`, in COCO's layout; returns the annotation file.

    With a `count`, only the first pictures by id, one by one over a few connections, and the
    annotations of those. A later call goes on where an earlier one stopped, and with a larger
    `count` adds to it. The annotation file appears last and lists pictures that are there. The
    annotations of all pictures stay beside it, so that they are fetched once.

    Raises:
        UsageError: `count` is below 1, or more than there are.
        TailraceError: a file cannot be fetched, is not what it should be, or cannot be written.
    """
    if count is not None and count < 1:
        raise UsageError(f"the number of pictures is 1 or more, not {count}")
    document, listed = _annotations(directory, url, progress)
    if count is not None and count > len(listed.images):
        raise UsageError(f"val2017 has {len(listed.images):,} pictures, not {count:,}")
    first = sorted(range(len(listed.images)), key=lambda place: listed.images[place].id)[:count]
    names = [_plain(listed.images[place].file_name) for place in first]
    ids = {listed.images[place].id for place in first}
    wanted = {
        "images": [document["images"][place] for place in first],
        "annotations": [row for row in document["annotations"] if row["image_id"] in ids],
    }
    annotation_file = directory / "annotations" / PREFERRED
    try:
        if count is None:
            _unpack(directory, names, url, progress)
        else:
            _collect(directory, names, url, progress)
        write_whole(annotation_file, msgspec.json.encode(document | wanted))
    except OSError as error:
        raise unwritable(directory, error) from error
    return annotation_file


class _Image(msgspec.Struct):
    id: int
    file_name: str


class _Annotation(msgspec.Struct):
    image_id: int


class _Listed(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]


def _annotations(directory: Path, url: str, progress: Progress) -> tuple[dict[str, Any], _Listed]:
    """The annotations of the whole set: as they are, and what is of interest here."""
    whole = directory / "annotations" / _WHOLE
    if not whole.is_file():
        archive = directory / _ARCHIVE
        download(f"{url}/annotations/{_ARCHIVE}", archive, progress=partial(progress, ANNOTATIONS))
        try:
            extract(archive, f"annotations/{PREFERRED}", whole)
        except TailraceError:
            archive.unlink(missing_ok=True)
            raise
        archive.unlink(missing_ok=True)
    try:
        document = msgspec.json.decode(whole.read_bytes(), type=dict[str, Any])
        return document, msgspec.convert(document, _Listed)
    except msgspec.MsgspecError as error:
        whole.unlink()
        raise TailraceError(f"{url}/annotations/{_ARCHIVE} is not COCO's: {error}") from error


def _collect(directory: Path, names: list[str], url: str, progress: Progress) -> None:
    stopped = threading.Event()

    def fetch(name: str) -> None:
        file = directory / _FOLDER / name
        download(f"{url}/{_FOLDER}/{name}", file, progress=check)
        with file.open("rb") as stream:
            genuine = stream.read(len(_JPEG_SIGNATURE)) == _JPEG_SIGNATURE
        if not genuine:
            file.unlink()
            raise TailraceError(f"{url}/{_FOLDER}/{name} is no JPEG: what answers at this address?")

    def check(done: int, total: int | None) -> None:
        if stopped.is_set():
            raise _StoppedError

    missing = _missing(directory, names)
    progress(PICTURES, len(names) - len(missing), len(names))
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        try:
            # On any exception, Ctrl-C included, map cancels what has not begun.
            for done, _ in enumerate(pool.map(fetch, missing), len(names) - len(missing) + 1):
                progress(PICTURES, done, len(names))
        finally:
            stopped.set()


def _unpack(directory: Path, names: list[str], url: str, progress: Progress) -> None:
    missing = _missing(directory, names)
    if not missing:
        return
    archive = directory / f"{_FOLDER}.zip"
    download(f"{url}/zips/{archive.name}", archive, progress=partial(progress, ARCHIVE))
    try:
        with zipfile.ZipFile(archive) as packed:
            for done, name in enumerate(missing, len(names) - len(missing) + 1):
                write_whole(directory / _FOLDER / name, packed.read(f"{_FOLDER}/{name}"))
                progress(PICTURES, done, len(names))
    except (zipfile.BadZipFile, KeyError) as error:
        archive.unlink()
        raise TailraceError(f"{url}/zips/{archive.name} is broken: {error}") from error
    archive.unlink()


def _missing(directory: Path, names: list[str]) -> list[str]:
    return [name for name in names if not (directory / _FOLDER / name).is_file()]


def _plain(name: str) -> str:
    if name != Path(name).name:
        raise TailraceError(f"the annotations name a picture {name!r}, which is no file name")
    return name


class _StoppedError(Exception):
    """Another download has failed, or the user wants no more."""
