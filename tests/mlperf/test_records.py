"""Answers as the accuracy log has them."""

import numpy as np

from tailrace.mlperf.records import record
from tailrace.mlperf.system import Sample
from tailrace.models.outputs import Classes, Detections

SAMPLE = Sample(7, 200, 100, b"")


def test_detections() -> None:
    found = Detections(
        np.array([[20, 10, 100, 50], [0, 0, 200, 100]], np.float32),
        np.array([0.75, 0.5], np.float32),
        np.array([3, 90]),
    )
    rows = record(SAMPLE, found)
    assert rows.dtype == np.float32
    # Index, ymin, xmin, ymax, xmax as shares, score, class.
    assert rows.tolist() == [
        [7, np.float32(0.1), np.float32(0.1), 0.5, 0.5, 0.75, 3],
        [7, 0, 0, 1, 1, 0.5, 90],
    ]
    assert record(SAMPLE, Detections.none()).shape == (0, 7)


def test_the_best_class() -> None:
    best = record(SAMPLE, Classes(np.array([65, 3]), np.array([0.9, 0.1], np.float32)))
    assert best.dtype == np.float32
    assert best.tolist() == [65]
    assert record(SAMPLE, Classes(np.array([65]), None)).tolist() == [65]
