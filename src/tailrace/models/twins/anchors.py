"""The default boxes of SSD (Liu et al., "SSD: Single Shot MultiBox Detector", 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SSD_MOBILENET_SIDES = (19, 10, 5, 3, 2, 1)
SSD_RESNET34_SIDES = (50, 25, 13, 7, 3, 3)


def ssd_mobilenet() -> NDArray[np.float32]:
    """The 1,917 boxes of ssd_mobilenet_v1_coco: float32 [1917, 4], each centre y, centre x,
    height and width in 0..1, by map, cell and kind.

    Scales run linearly from 0.2 to 0.95 over the maps. The finest map has three boxes a cell (0.1
    square; 0.2 at ratios 2 and 1/2), the others six (ratios 1, 2, 1/2, 3, 1/3, and a square of the
    geometric mean of this map's scale and the next's).
    """
    scales = [*np.linspace(0.2, 0.95, len(SSD_MOBILENET_SIDES)), 1.0]
    levels = []
    for level, side in enumerate(SSD_MOBILENET_SIDES):
        if level == 0:
            kinds = [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)]
        else:
            kinds = [(scales[level], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
            kinds.append((np.sqrt(scales[level] * scales[level + 1]), 1.0))
        sizes = [(scale / np.sqrt(ratio), scale * np.sqrt(ratio)) for scale, ratio in kinds]
        levels.append(_boxes(side, sizes).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def ssd_resnet34() -> NDArray[np.float32]:
    """The 15,130 boxes of MLPerf's SSD-ResNet34: float32 [15130, 4], each centre x, centre y,
    width and height in 0..1, by map, kind and cell.

    They are SSD300's, whose sizes are 21, 45, 99, 153, 207, 261 and 315 of 300 pixels, on finer
    maps: each has a square of its size, one of the geometric mean of its and the next map's, and
    oblongs of ratios 2 and 1/2, on the maps in the middle also 3 and 1/3.
    """
    scales = np.array([21, 45, 99, 153, 207, 261, 315]) / 300
    levels = []
    for level, side in enumerate(SSD_RESNET34_SIDES):
        scale, between = scales[level], np.sqrt(scales[level] * scales[level + 1])
        sizes = [(scale, scale), (between, between)]
        for ratio in (2, 3) if level in (1, 2, 3) else (2,):
            long, short = scale * np.sqrt(ratio), scale / np.sqrt(ratio)
            sizes += [(long, short), (short, long)]
        by_cell = _boxes(side, sizes)[..., [1, 0, 2, 3]]
        levels.append(by_cell.transpose(1, 0, 2).reshape(-1, 4))
    return np.concatenate(levels).clip(0, 1).astype(np.float32)


def _boxes(side: int, sizes: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """[side * side, len(sizes), 4]: centre y, centre x and a size, in the cells' order by rows."""
    y, x = np.divmod(np.arange(side * side), side)
    centres = (np.stack([y, x], axis=-1)[:, None] + 0.5) / side
    shape = (side * side, len(sizes), 2)
    return np.concatenate([np.broadcast_to(centres, shape), np.broadcast_to(sizes, shape)], axis=-1)
