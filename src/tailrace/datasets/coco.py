"""Reader of COCO's layout: `annotations/instances_*.json` beside a folder of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from tailrace.errors import UsageError

PREFERRED = "instances_val2017.json"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One picture: its id, its file, and its size in pixels."""

    id: int
    file: Path
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class CocoDataset:
    """The pictures and categories of one annotation file."""

    annotation_file: Path
    images: tuple[CocoImage, ...]
    categories: Mapping[int, str]
    """Names by category id."""

    @classmethod
    def open(cls, directory: Path) -> CocoDataset:
        """Reads `annotations/instances_val2017.json`, else the first `instances_*.json`.

        Pictures lie in the folder the annotation file is named after, or in `images`, or in
        `directory` itself.

        Raises:
            UsageError: no annotation file, one that is not COCO's, or a picture is missing.
        """
        annotation_file = _annotation_file(directory)
        named = directory / annotation_file.stem.removeprefix("instances_")
        return cls.read(annotation_file, (named, directory / "images", directory))

    @classmethod
    def read(cls, annotation_file: Path, folders: Sequence[Path]) -> CocoDataset:
        """Reads an annotation file in COCO's format, whose order the pictures keep.

        Pictures lie in the first of `folders` that has the first of them.

        Raises:
            UsageError: the file cannot be read or is not COCO's, or a picture is missing.
        """
        document = decode(annotation_file, _Document)
        if not document.images:
            raise UsageError(f"{annotation_file} lists no images")
        first = document.images[0].file_name
        folder = next((each for each in folders if (each / first).is_file()), folders[0])
        names = [row.file_name for row in document.images]
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise UsageError(
                f"{folder} lacks {len(missing)} of the {len(names)} images that "
                f"{annotation_file.name} lists, {missing[0]} for one"
            )
        return cls(
            annotation_file,
            tuple(
                CocoImage(row.id, folder / row.file_name, row.width, row.height)
                for row in document.images
            ),
            {row.id: row.name for row in document.categories},
        )


def decode(annotation_file: Path, kind: type[T]) -> T:
    """What is of interest in an annotation file, as the fields of `kind`, a msgspec.Struct.

    Raises:
        UsageError: the file cannot be read, or does not have them.
    """
    try:
        return msgspec.json.decode(annotation_file.read_bytes(), type=kind)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{annotation_file} is not a COCO annotation file: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"cannot read {annotation_file}: {reason}") from error


class _Image(msgspec.Struct):
    id: int
    file_name: str
    width: int
    height: int


class _Category(msgspec.Struct):
    id: int
    name: str


class _Document(msgspec.Struct):
    images: list[_Image]
    categories: list[_Category]


def _annotation_file(directory: Path) -> Path:
    if not directory.is_dir():
        raise UsageError(f"there is no folder {directory}")
    folder = directory / "annotations"
    if (folder / PREFERRED).is_file():
        return folder / PREFERRED
    found = sorted(folder.glob("instances_*.json"))
    if not found:
        raise UsageError(f"{folder} has no instances_*.json, as COCO's layout does")
    return found[0]
