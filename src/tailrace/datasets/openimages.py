"""Reader of the layout MLPerf keeps OpenImages in: COCO's annotations beside `validation/data`."""

from __future__ import annotations

from pathlib import Path

from tailrace.datasets.coco import CocoDataset

ANNOTATION_FILE = "annotations/openimages-mlperf.json"
IMAGE_DIRECTORY = "validation/data"


def open_openimages(directory: Path) -> CocoDataset:
    """Reads `annotations/openimages-mlperf.json`, as MLPerf's `openimages_mlperf.sh` leaves it.

    Pictures lie in `validation/data`, or are named relative to `directory`.

    Raises:
        UsageError: no such file, one that is not in COCO's format, or a picture is missing.
    """
    folders = (directory / IMAGE_DIRECTORY, directory)
    return CocoDataset.read(directory / ANNOTATION_FILE, folders)
