"""The embedded detector's network: SSD-MobileNet-v1 at a width multiplier, 300x300 input.

Liu et al., "SSD: Single Shot MultiBox Detector" (2016), over Howard et al., "MobileNets" (2017),
with the anchors and box coder of the TensorFlow Object Detection API's ssd_mobilenet_v1_coco.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

INPUT_PX = 300
MAP_SIDES = (19, 10, 5, 3, 2, 1)
ANCHORS_PER_CELL = (3, 6, 6, 6, 6, 6)
CODER_SCALE = (10.0, 10.0, 5.0, 5.0)
# MobileNet v1 after its first convolution: (output channels at width 1, stride).
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
_FINEST_BLOCK = 10
# Channels, at width 1, of the 1x1 and of the strided 3x3 convolution of each added map.
_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))


def anchors() -> NDArray[np.float32]:
    """The 1,917 default boxes, float32 [1917, 4]: centre y, centre x, height, width in 0..1.

    Scales run linearly from 0.2 to 0.95 over the maps; the finest map has three boxes a cell
    (0.1 square; 0.2 at ratios 2 and 1/2), the others six (ratios 1, 2, 1/2, 3, 1/3, and a square
    of the geometric mean of this map's scale and the next's).
    """
    scales = [*np.linspace(0.2, 0.95, len(MAP_SIDES)), 1.0]
    boxes = []
    for level, side in enumerate(MAP_SIDES):
        if level == 0:
            kinds = [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)]
        else:
            kinds = [(scales[level], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
            kinds.append((float(np.sqrt(scales[level] * scales[level + 1])), 1.0))
        shapes = np.array([(s / np.sqrt(ratio), s * np.sqrt(ratio)) for s, ratio in kinds])
        centres = (np.arange(side) + 0.5) / side
        y, x = np.meshgrid(centres, centres, indexing="ij")
        grid = np.stack([y, x], axis=-1).reshape(-1, 1, 2)
        boxes.append(
            np.concatenate(
                [
                    np.broadcast_to(grid, (side * side, len(kinds), 2)),
                    np.broadcast_to(shapes, (side * side, len(kinds), 2)),
                ],
                axis=-1,
            ).reshape(-1, 4)
        )
    return np.concatenate(boxes).astype(np.float32)


def decode(offsets: Tensor, anchor_boxes: Tensor) -> Tensor:
    """Offsets [..., 4] (ty, tx, th, tw) to boxes [..., 4] (ymin, xmin, ymax, xmax)."""
    centre = offsets[..., :2] / CODER_SCALE[0] * anchor_boxes[..., 2:] + anchor_boxes[..., :2]
    size = (offsets[..., 2:] / CODER_SCALE[2]).clamp(max=4.0).exp() * anchor_boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


class ConvUnit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out" if groups == 1 else "fan_in")
        self.norm = nn.BatchNorm2d(outputs, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.norm(self.conv(x)))


class ShapesNet(nn.Module):
    """Scaled picture [b, 3, 300, 300] in -1..1 to logits [b, 1917, classes], offsets [b, 1917, 4].

    `stages[i]` produces feature map i from map i - 1 (from the picture for i = 0).
    """

    def __init__(self, classes: int, width: float = 0.5):
        super().__init__()
        self.classes = classes
        self.width = width

        def scaled(channels: int) -> int:
            return max(8, int(channels * width))

        units: list[nn.Module] = [ConvUnit(3, scaled(32), 3, 2)]
        channels = scaled(32)
        map_channels = []
        stages = []
        for index, (outputs, stride) in enumerate(_BLOCKS):
            units.append(ConvUnit(channels, channels, 3, stride, groups=channels))
            units.append(ConvUnit(channels, scaled(outputs), 1, 1))
            channels = scaled(outputs)
            if index in (_FINEST_BLOCK, len(_BLOCKS) - 1):
                stages.append(nn.Sequential(*units))
                map_channels.append(channels)
                units = []
        for squeeze, outputs in _EXTRAS:
            stages.append(
                nn.Sequential(
                    ConvUnit(channels, scaled(squeeze), 1, 1),
                    ConvUnit(scaled(squeeze), scaled(outputs), 3, 2),
                )
            )
            channels = scaled(outputs)
            map_channels.append(channels)
        self.stages = nn.ModuleList(stages)
        self.class_heads = nn.ModuleList(
            nn.Conv2d(c, count * classes, 1)
            for c, count in zip(map_channels, ANCHORS_PER_CELL, strict=True)
        )
        self.box_heads = nn.ModuleList(
            nn.Conv2d(c, count * 4, 1)
            for c, count in zip(map_channels, ANCHORS_PER_CELL, strict=True)
        )
        for class_head, box_head in zip(self.class_heads, self.box_heads, strict=True):
            nn.init.normal_(class_head.weight, std=0.01)
            # Starts every score at 0.01, so that the many empty anchors do not drown the loss.
            nn.init.constant_(class_head.bias, -4.6)
            nn.init.normal_(box_head.weight, std=0.01)
            nn.init.zeros_(box_head.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, offsets = [], []
        heads = zip(self.stages, self.class_heads, self.box_heads, strict=True)
        for stage, class_head, box_head in heads:
            x = stage(x)
            batch = x.shape[0]
            logits.append(class_head(x).permute(0, 2, 3, 1).reshape(batch, -1, self.classes))
            offsets.append(box_head(x).permute(0, 2, 3, 1).reshape(batch, -1, 4))
        return torch.cat(logits, 1), torch.cat(offsets, 1)
