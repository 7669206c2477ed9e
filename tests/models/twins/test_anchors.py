"""Default boxes against the embedded detector's, which was trained on them, and SSD's geometry."""

from __future__ import annotations

from importlib import resources

import numpy as np
import onnx
import pytest

from tailrace.models.twins import anchors


def test_ssd_mobilenets_are_those_the_embedded_detector_was_trained_on() -> None:
    file = resources.files("tailrace.models") / "embedded" / "shapes.onnx"
    constants = [
        onnx.numpy_helper.to_array(each)
        for each in onnx.load_from_string(file.read_bytes()).graph.initializer
        if list(each.dims) == [1917, 2]
    ]
    _, centres, half_sizes = constants
    boxes = anchors.ssd_mobilenet()
    assert boxes.dtype == np.float32
    np.testing.assert_allclose(boxes, np.hstack([centres, half_sizes * 2]), rtol=1e-6)


def test_ssd_resnet34s_lie_by_map_kind_and_cell() -> None:
    boxes = anchors.ssd_resnet34()
    assert boxes.dtype == np.float32
    assert boxes.shape == (15130, 4)
    start = 0
    for side, kinds in zip((50, 25, 13, 7, 3, 3), (4, 6, 6, 6, 4, 4), strict=True):
        level = boxes[start : start + kinds * side * side].reshape(kinds, side, side, 4)
        start += kinds * side * side
        middles = (np.arange(side) + 0.5) / side
        np.testing.assert_allclose(level[..., 0], np.broadcast_to(middles, level.shape[:3]), 1e-6)
        np.testing.assert_allclose(
            level[..., 1], np.broadcast_to(middles[:, None], level.shape[:3]), 1e-6
        )
        assert np.ptp(level[..., 2:], axis=(1, 2)).max() == 0


@pytest.mark.parametrize(
    ("first", "kind", "size"),
    [
        (0, 0, (21 / 300, 21 / 300)),
        (0, 1, (np.sqrt(21 * 45) / 300, np.sqrt(21 * 45) / 300)),
        (0, 2, (21 / 300 * np.sqrt(2), 21 / 300 / np.sqrt(2))),
        (0, 3, (21 / 300 / np.sqrt(2), 21 / 300 * np.sqrt(2))),
        (10000, 4, (45 / 300 * np.sqrt(3), 45 / 300 / np.sqrt(3))),
        (15130 - 36, 2, (1.0, 261 / 300 / np.sqrt(2))),
    ],
)
def test_sizes_of_ssd_resnet34s(first: int, kind: int, size: tuple[float, float]) -> None:
    cells = {0: 2500, 10000: 625, 15130 - 36: 9}[first]
    box = anchors.ssd_resnet34()[first + kind * cells]
    assert box[2:] == pytest.approx(size, rel=1e-6)
