"""What preparing a data set comes to: which pictures go where, and the list of the results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tailrace.datasets.coco import CocoDataset
from tailrace.datasets.files import is_coco, is_imagenet
from tailrace.datasets.imagenet import MAP_FILE, ImagenetDataset
from tailrace.datasets.scale import scale_annotation
from tailrace.errors import UsageError

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as its data set names it, where it lies, and where its like goes.

    `result` is relative to the folder prepared; `size_px` is what it should have, where known.
    """

    name: str
    file: Path
    result: PurePosixPath
    size_px: Size | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The pictures of a data set, and the file that lists them, relative to the folder prepared.

    `contents` gives that file for pictures of a size, without those of some names; it raises
    UsageError where an annotation is broken.
    """

    pictures: tuple[Picture, ...]
    listing: PurePosixPath
    contents: Callable[[Size, Collection[str]], bytes]


def plan(source: Path, suffix: str) -> Plan:
    """What is to be done to prepare the data set in `source`, in COCO's layout or ImageNet's.

    Raises:
        UsageError: it has neither layout, its list is broken, or two pictures would become one.
    """
    if is_coco(source):
        planned = _coco(source, suffix)
    elif is_imagenet(source):
        planned = _imagenet(source, suffix)
    else:
        raise UsageError(
            f"{source} has neither annotations/instances_*.json, as COCO's layout, "
            f"nor {MAP_FILE}, as ImageNet's"
        )
    names: dict[PurePosixPath, str] = {}
    for picture in planned.pictures:
        if picture.result.is_absolute() or ".." in picture.result.parts:
            raise UsageError(f"{source} lists {picture.name}, which lies outside of it")
        if (other := names.setdefault(picture.result, picture.name)) != picture.name:
            raise UsageError(f"{other} and {picture.name} would both become {picture.result}")
    return planned


def _coco(source: Path, suffix: str) -> Plan:
    dataset = CocoDataset.open(source)
    file = dataset.annotation_file
    folder = PurePosixPath(file.stem.removeprefix("instances_"))
    document = msgspec.json.decode(file.read_bytes())
    try:
        annotations = msgspec.convert(document.get("annotations", []), list[dict[str, Any]])
    except msgspec.ValidationError as error:
        raise UsageError(f"{file} is not a COCO annotation file: {error}") from error

    def result(row: Mapping[str, Any]) -> PurePosixPath:
        return PurePosixPath(row["file_name"]).with_suffix(suffix)

    def contents(size_px: Size, without: Collection[str]) -> bytes:
        rows = {row["id"]: row for row in document["images"] if row["file_name"] not in without}
        new = {"width": size_px[0], "height": size_px[1]}
        images = [{**row, **new, "file_name": str(result(row))} for row in rows.values()]
        scaled = []
        for annotation in annotations:
            if (row := rows.get(annotation.get("image_id"))) is not None:
                try:
                    old_px = row["width"], row["height"]
                    scaled.append(scale_annotation(annotation, old_px, size_px))
                except (KeyError, TypeError, ValueError) as error:
                    number = annotation.get("id")
                    raise UsageError(f"{file}: annotation {number} is broken ({error})") from error
        return msgspec.json.encode({**document, "images": images, "annotations": scaled})

    pictures = (
        Picture(
            row["file_name"], image.file, folder / result(row), (image.width_px, image.height_px)
        )
        for row, image in zip(document["images"], dataset.images, strict=True)
    )
    return Plan(tuple(pictures), PurePosixPath("annotations", file.name), contents)


def _imagenet(source: Path, suffix: str) -> Plan:
    images = ImagenetDataset.open(source).images
    pictures = tuple(
        Picture(image.name, image.file, PurePosixPath(image.name).with_suffix(suffix), None)
        for image in images
    )

    def contents(size_px: Size, without: Collection[str]) -> bytes:
        lines = (
            f"{picture.result} {image.label}\n"
            for picture, image in zip(pictures, images, strict=True)
            if picture.name not in without
        )
        return "".join(lines).encode()

    return Plan(pictures, PurePosixPath(MAP_FILE), contents)
