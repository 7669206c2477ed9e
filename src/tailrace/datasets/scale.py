"""COCO annotations for pictures that have been resized."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailrace.datasets import rle


def scale_annotation(
    annotation: Mapping[str, Any], from_px: tuple[int, int], to_px: tuple[int, int]
) -> dict[str, Any]:
    """An instance's annotation after its picture went from one width and height to another.

    Box, polygons and run-length mask are stretched along each axis, the area by both; everything
    else stays.

    Raises:
        KeyError, TypeError, ValueError: it is not an instance of COCO's.
    """
    x, y = to_px[0] / from_px[0], to_px[1] / from_px[1]
    left, top, width, height = annotation["bbox"]
    scaled = {**annotation, "bbox": [left * x, top * y, width * x, height * y]}
    if "area" in annotation:
        scaled["area"] = annotation["area"] * x * y
    match annotation.get("segmentation"):
        case list(polygons):
            scaled["segmentation"] = [
                [value * (x, y)[place % 2] for place, value in enumerate(polygon)]
                for polygon in polygons
            ]
        case dict(mask):
            if tuple(mask["size"]) != from_px[::-1]:
                raise ValueError("its mask has not the size of its picture")
            scaled["segmentation"] = rle.resize(mask, to_px)
    return scaled
