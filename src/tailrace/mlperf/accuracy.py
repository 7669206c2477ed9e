"""The accuracy of a test, from LoadGen's accuracy log: mAP or top-1, as MLPerf computes them."""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.datasets import coco
from tailrace.errors import TailraceError
from tailrace.mlperf.accuracy_log import read_log
from tailrace.mlperf.data import Boxes, Labels, TestData, layout_of, truth_of
from tailrace.mlperf.records import ROW
from tailrace.mlperf.system import Record
from tailrace.models.zoo.spec import ModelSpec


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """The accuracy of a test."""

    metric: Literal["mAP", "top-1"]
    value: float
    """0..1, as the next two."""
    reference: float | None
    """Of MLPerf's reference implementation; None where MLPerf asks for none, as in the next two."""
    target: float | None
    """The lowest value that MLPerf's closed division lets pass."""
    passed: bool | None
    samples: int
    """Samples that the value is of."""
    missing: int
    """Samples of the data set that have no record."""
    notes: list[str]
    """What a reader of the value must know."""


def score(spec: ModelSpec, data: TestData, log: Path) -> Score:
    """What the answers in `log`, LoadGen's mlperf_log_accuracy.json, are worth.

    mAP is COCO's: the mean over ten IoU thresholds, 0.50 to 0.95, and over the categories, of the
    interpolated precision at 101 recalls, 100 detections a picture at most (pycocotools), over the
    pictures that are in the log. Top-1 is the share of the log's pictures whose class is right.

    Raises:
        UsageError: nobody knows what is in the data set's pictures, or its annotations are broken.
        TailraceError: the log cannot be used; see `read_log`. Or its pictures have no boxes.
    """
    truth = truth_of(spec, data)
    records = read_log(log, data.total)
    value, notes = (
        _mean_average_precision(spec, truth, records, log)
        if isinstance(truth, Boxes)
        else _top_1(truth, records, log)
    )
    missing = data.total - len(records)
    wanted = spec.accuracy
    return Score(
        metric="mAP" if isinstance(truth, Boxes) else "top-1",
        value=value,
        reference=wanted.reference if wanted else None,
        target=wanted.target if wanted else None,
        passed=value >= wanted.target if wanted else None,
        samples=len(records),
        missing=missing,
        notes=[*_unofficial(spec, data, missing), *notes],
    )


def accuracy_text(score: Score) -> str:
    """The line that MLPerf's submission checker looks for in accuracy.txt, in the words of MLPerf's
    own accuracy scripts."""
    percent = f"{100 * score.value:.3f}%"
    if score.metric == "mAP":
        return f"mAP={percent}"
    good = round(score.value * score.samples)
    return f"accuracy={percent}, good={good}, total={score.samples}"


def _unofficial(spec: ModelSpec, data: TestData, missing: int) -> list[str]:
    notes = []
    layout = layout_of(spec)
    if spec.accuracy is None:
        notes.append(f"MLPerf asks no accuracy of {spec.name}: not an official accuracy")
    elif layout is not None and data.total != layout.total:
        notes.append(
            f"{data.total:,} pictures, not the {layout.total:,} of {spec.accuracy.dataset}: "
            "not an official accuracy"
        )
    if missing:
        notes.append(
            f"{missing:,} of {data.total:,} samples have no record: not an official accuracy"
        )
    return notes


def _top_1(truth: Labels, records: Mapping[int, Record], log: Path) -> tuple[float, list[str]]:
    good = unanswered = 0
    for index, record in records.items():
        if not record.size:
            unanswered += 1
        elif record.size != 1:
            raise TailraceError(
                f"{log}: the record of sample {index} has {record.size} numbers, not that of a "
                "class alone"
            )
        else:
            good += int(record[0] == truth.labels[index])
    notes = [f"empty records, counted as wrong: {unanswered:,}"] if unanswered else []
    return good / len(records), notes


def _mean_average_precision(
    spec: ModelSpec, truth: Boxes, records: Mapping[int, Record], log: Path
) -> tuple[float, list[str]]:
    found = _detections(truth, records, log)
    expected = _expected(truth, {truth.images[index].id for index in records})
    # Category by category, over the pictures that have one: the same value as all at once, without
    # visiting each pair of a picture and a category, of which OpenImages has 6.5 million.
    precision = [
        _precision(expected[category], found[found[:, 6] == category])
        for category in truth.categories
        if expected[category]
    ]
    known = np.concatenate(precision) if precision else np.empty(0)
    # pycocotools has -1 where there is nothing to find, crowds aside.
    known = known[known > -1]
    if not known.size:
        raise TailraceError(f"no picture in {log} has a box in {truth.annotation_file}")
    return float(known.mean()), _other_classes(spec, truth)


def _detections(truth: Boxes, records: Mapping[int, Record], log: Path) -> NDArray[np.float64]:
    """Rows of picture id, x, y, width, height in pixels, score, class: float64 [n, 7]."""
    for index, record in records.items():
        if record.size % ROW:
            raise TailraceError(
                f"{log}: the record of sample {index} has {record.size} numbers, not {ROW} a "
                "detection"
            )
    rows = np.concatenate(list(records.values())).astype(np.float64).reshape(-1, ROW)
    samples = np.repeat(list(records), [record.size // ROW for record in records.values()])
    for place in np.flatnonzero(rows[:, 0] != samples)[:1]:
        raise TailraceError(
            f"{log}: the record of sample {samples[place]} says that it is of {rows[place, 0]:g}"
        )
    for place in np.flatnonzero(rows[:, 6] % 1)[:1]:
        raise TailraceError(
            f"{log}: the record of sample {samples[place]} has a class {rows[place, 6]:g}"
        )
    pictures = [(image.id, image.width_px, image.height_px) for image in truth.images]
    ids, widths_px, heights_px = np.array(pictures, np.int64).T[:, samples]
    top, left, bottom, right = rows[:, 1:5].T
    found = np.empty_like(rows)
    found[:, 0] = ids
    found[:, 1] = left * widths_px
    found[:, 2] = top * heights_px
    found[:, 3] = (right - left) * widths_px
    found[:, 4] = (bottom - top) * heights_px
    found[:, 5:] = rows[:, 5:]
    return found


class _Instance(msgspec.Struct):
    image_id: int
    category_id: int
    bbox: Annotated[list[float], msgspec.Meta(min_length=4, max_length=4)]
    iscrowd: int | bool = 0


class _Document(msgspec.Struct):
    annotations: list[_Instance]


def _expected(truth: Boxes, pictures: set[int]) -> Mapping[int, Sequence[_Instance]]:
    """The boxes in `pictures`, by category."""
    expected = defaultdict(list)
    for instance in coco.decode(truth.annotation_file, _Document).annotations:
        if instance.image_id in pictures:
            expected[instance.category_id].append(instance)
    return expected


def _precision(expected: Sequence[_Instance], found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of one category, by IoU threshold and recall, in no order; -1 if there are only crowds."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    pictures = {instance.image_id for instance in expected} | set(found[:, 0].astype(int).tolist())
    category = expected[0].category_id
    truth = COCO()
    truth.dataset = {
        "images": [{"id": picture} for picture in sorted(pictures)],
        "categories": [{"id": category}],
        "annotations": [_annotation(number, each) for number, each in enumerate(expected, start=1)],
    }
    # pycocotools prints, and stdout is for JSON.
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        # loadRes cannot load nothing.
        evaluation = COCOeval(truth, truth.loadRes(found) if len(found) else COCO(), "bbox")
        # Of objects of all sizes: areas in square pixels.
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    precision: NDArray[np.float64] = evaluation.eval["precision"]
    return precision.ravel()


def _annotation(number: int, instance: _Instance) -> dict[str, Any]:
    _, _, width, height = instance.bbox
    return {
        "id": number,
        "image_id": instance.image_id,
        "category_id": instance.category_id,
        "bbox": instance.bbox,
        "area": width * height,
        "iscrowd": int(instance.iscrowd),
    }


def _other_classes(spec: ModelSpec, truth: Boxes) -> list[str]:
    for number, name in truth.categories.items():
        own = spec.labels.get(number, "nothing")
        if spec.labels and own.casefold() != name.replace("_", " ").casefold():
            told = f"class {number} is {name!r} in the annotations and {own!r} to {spec.name}"
            return [f"{told}: the mAP means little"]
    return []
