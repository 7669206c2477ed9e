"""Answers as MLPerf's accuracy log has them, so that its own scripts can read ours.

A detector's is float32 [n, 7], a row a detection: index of the picture in the data set, ymin, xmin,
ymax, xmax as shares of the picture's height and width, score, class. A classifier's is float32
[1]: the number of the class.
"""

from __future__ import annotations

import numpy as np

from tailrace.mlperf.system import Record, Sample
from tailrace.models.outputs import Classes, Detections

ROW = 7
"""Numbers a detection."""

_NOTHING: Record = np.zeros((0, ROW), np.float32)


def record(sample: Sample, found: Detections | Classes) -> Record:
    """What the accuracy log says of `found` in `sample`."""
    if isinstance(found, Classes):
        return found.class_ids[:1].astype(np.float32)
    if not len(found.scores):
        return _NOTHING
    rows = np.empty((len(found.scores), ROW), np.float32)
    rows[:, 0] = sample.index
    rows[:, 1] = found.boxes[:, 1] / sample.height_px
    rows[:, 2] = found.boxes[:, 0] / sample.width_px
    rows[:, 3] = found.boxes[:, 3] / sample.height_px
    rows[:, 4] = found.boxes[:, 2] / sample.width_px
    rows[:, 5] = found.scores
    rows[:, 6] = found.class_ids
    return rows
