"""What is common to all SSDs: from offsets to boxes, and non-maximum suppression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tailrace.models.twins.graph import GraphBuilder

_CENTRE_VARIANCE = 0.1
_SIZE_VARIANCE = 0.2


def decode(graph: GraphBuilder, offsets: str, anchors: NDArray[np.float32]) -> str:
    """Corners in 0..1 [batch, n, 4] from offsets [batch, n, 4] to `anchors` [n, 4].

    An anchor is a centre and a size, x and y in either order, which is that of the offsets and
    corners too. Offsets are the shift of the centre in sizes, ten times, and the logarithm of the
    stretch, five times (Liu et al., "SSD: Single Shot MultiBox Detector", 2016; the factors are
    the variances of its code).
    """
    shift, stretch = graph.add_pair("Split", offsets, graph.constant([2, 2]), axis=-1)
    shift = graph.add("Mul", shift, graph.constant(anchors[:, 2:] * _CENTRE_VARIANCE))
    centre = graph.add("Add", shift, graph.constant(anchors[:, :2]))
    stretch = graph.add("Exp", graph.add("Mul", stretch, graph.constant(_SIZE_VARIANCE)))
    half = graph.add("Mul", stretch, graph.constant(anchors[:, 2:] / 2))
    corners = graph.add(
        "Concat", graph.add("Sub", centre, half), graph.add("Add", centre, half), axis=-1
    )
    return graph.add("Clip", corners, graph.constant(0.0), graph.constant(1.0))


def suppress(
    graph: GraphBuilder, boxes: str, scores: str, *, most: int, iou: float, lowest_score: float
) -> str:
    """Non-maximum suppression, class by class: int64 [n, 3], each row a picture, class and box.

    Args:
        graph: takes the node.
        boxes: corners [batch, boxes, 4].
        scores: [batch, classes, boxes], without the background class.
        most: how many are kept of each class.
        iou: with more in common than this, the box of the lower score goes.
        lowest_score: what must be exceeded.
    """
    limits = (graph.constant(limit) for limit in (most, iou, lowest_score))
    return graph.add("NonMaxSuppression", boxes, scores, *limits)
