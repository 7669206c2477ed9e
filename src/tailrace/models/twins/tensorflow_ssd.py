"""The two ends of every SSD-MobileNet of TensorFlow's detection API: its picture and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from onnx import TensorProto

from tailrace.models.twins import anchors, detection
from tailrace.models.twins.graph import GraphBuilder, TensorSpec
from tailrace.models.twins.layers import FeatureMap

_PICTURE = "image_tensor:0"
_INPUT_PX = 300
_MOST = 100
_NMS_IOU = 0.6


def picture(graph: GraphBuilder) -> FeatureMap:
    """The input, uint8 [batch, 300, 300, 3], scaled to -1..1."""
    x = graph.add("Transpose", _PICTURE, perm=[0, 3, 1, 2])
    x = graph.add("Cast", x, to=TensorProto.FLOAT)
    x = graph.add("Mul", x, graph.constant(2 / 255))
    return FeatureMap(graph.add("Sub", x, graph.constant(1.0)), 3)


def rows(graph: GraphBuilder, heads: Sequence[FeatureMap], columns: int) -> str:
    """[batch, 1917, columns] from the heads on the six maps, each of `columns` channels a kind."""
    parts = []
    for head in heads:
        by_cell = graph.add("Transpose", head.name, perm=[0, 2, 3, 1])
        parts.append(graph.add("Reshape", by_cell, graph.constant([0, -1, columns])))
    return graph.add("Concat", *parts, axis=1)


def save(
    graph: GraphBuilder,
    file: Path,
    title: str,
    *,
    offsets: str,
    scores: str,
    classes: int,
    lowest_score: float,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Adds boxes, suppression and outputs, and writes the model to `file`.

    Args:
        graph: the model, as far as its heads.
        file: is written.
        title: of the graph.
        offsets: [batch, 1917, 4], see `detection.decode`.
        scores: [batch, 1917, classes] in 0..1, without the background class.
        classes: how many; they are numbered from 1.
        lowest_score: what a detection must exceed.
        metadata: goes into the file.
    """
    prior = anchors.ssd_mobilenet()
    boxes = detection.decode(graph, offsets, prior)
    by_class = graph.add("Transpose", scores, perm=[0, 2, 1])
    _add_detections(graph, boxes, by_class, classes, len(prior), lowest_score)
    shape = ("batch", _MOST)
    graph.save(
        file,
        title,
        [TensorSpec(_PICTURE, TensorProto.UINT8, ("batch", _INPUT_PX, _INPUT_PX, 3))],
        [
            TensorSpec("num_detections:0", TensorProto.FLOAT, ("batch",)),
            TensorSpec("detection_boxes:0", TensorProto.FLOAT, (*shape, 4)),
            TensorSpec("detection_scores:0", TensorProto.FLOAT, shape),
            TensorSpec("detection_classes:0", TensorProto.FLOAT, shape),
        ],
        metadata,
    )


def _add_detections(
    graph: GraphBuilder, boxes: str, scores: str, classes: int, anchor_count: int, lowest: float
) -> None:
    kept = detection.suppress(graph, boxes, scores, most=_MOST, iou=_NMS_IOU, lowest_score=lowest)
    # What is kept comes as one list for the whole batch. Back in place, with zeros for all else,
    # each picture has a row of its own, and the best of it are its answer.
    sparse = graph.add(
        "ScatterND",
        graph.add("ConstantOfShape", graph.add("Shape", scores)),
        kept,
        graph.add("GatherND", scores, kept),
    )
    row = graph.add("Reshape", sparse, graph.constant([0, classes * anchor_count]))
    top, place = graph.add_pair("TopK", row, graph.constant([_MOST]), axis=1)
    found = graph.add("Greater", top, graph.constant(0.0))
    mask = graph.add("Cast", found, to=TensorProto.FLOAT)
    graph.add("ReduceSum", mask, graph.constant([1]), keepdims=0, name="num_detections:0")
    graph.add("Identity", top, name="detection_scores:0")

    width = graph.constant(anchor_count)
    number = graph.add("Add", graph.add("Div", place, width), graph.constant(1))
    number = graph.add("Cast", number, to=TensorProto.FLOAT)
    graph.add("Mul", number, mask, name="detection_classes:0")

    last = graph.constant([-1])
    anchor = graph.add("Unsqueeze", graph.add("Mod", place, width), last)
    picked = graph.add("GatherND", boxes, anchor, batch_dims=1)
    graph.add("Mul", picked, graph.add("Unsqueeze", mask, last), name="detection_boxes:0")
