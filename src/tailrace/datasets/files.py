"""The picture files of a folder, whichever layout it has."""

from __future__ import annotations

from pathlib import Path

from tailrace.datasets import imagenet, openimages
from tailrace.datasets.coco import CocoDataset
from tailrace.datasets.imagenet import ImagenetDataset
from tailrace.errors import UsageError

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def is_coco(directory: Path) -> bool:
    """Whether a folder has COCO's layout."""
    return any(directory.glob("annotations/instances_*.json"))


def is_imagenet(directory: Path) -> bool:
    """Whether a folder has the layout MLPerf keeps ImageNet in."""
    return (directory / imagenet.MAP_FILE).is_file()


def is_openimages(directory: Path) -> bool:
    """Whether a folder has the layout MLPerf keeps OpenImages in."""
    return (directory / openimages.ANNOTATION_FILE).is_file()


def image_files(directory: Path) -> list[Path]:
    """The pictures of a folder, sorted by path: those that COCO's or OpenImages's
    annotations or ImageNet's `val_map.txt` list, else every JPEG and PNG in it.

    Raises:
        UsageError: there is no such folder, no picture in it, or one that is listed is missing.
    """
    if not directory.is_dir():
        raise UsageError(f"there is no folder {directory}")
    if is_coco(directory):
        return sorted(image.file for image in CocoDataset.open(directory).images)
    if is_imagenet(directory):
        return sorted(image.file for image in ImagenetDataset.open(directory).images)
    if is_openimages(directory):
        return sorted(image.file for image in openimages.open_openimages(directory).images)
    try:
        files = sorted(
            file
            for file in directory.rglob("*")
            if file.suffix.lower() in _SUFFIXES and file.is_file()
        )
    except OSError as error:
        raise UsageError(f"cannot read {directory}: {error.strerror}") from error
    if not files:
        raise UsageError(f"there are no .jpg or .png files in {directory}")
    return files
