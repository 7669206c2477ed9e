"""What the answers in LoadGen's accuracy log are worth."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tailrace.errors import TailraceError, UsageError
from tailrace.mlperf.accuracy import Score, accuracy_text, score
from tailrace.mlperf.data import Boxes, TestData, open_data
from tailrace.mlperf.records import record
from tailrace.mlperf.system import Sample
from tailrace.models import zoo
from tailrace.models.model import RuntimeOptions, load
from tailrace.models.outputs import Classes, Detections

DETECTOR = zoo.find("ssd-mobilenet")
CLASSIFIER = zoo.find("resnet50")

SIZES_PX = {30: (400, 200), 10: (100, 300), 20: (640, 480), 40: (50, 50)}
"""Width and height by picture id, in the order of the data set; the last picture is empty."""

BOXES: dict[int, list[tuple[int, tuple[int, int, int, int]]]] = {
    30: [(1, (10, 20, 100, 50)), (3, (200, 100, 150, 80))],
    10: [(1, (5, 100, 60, 120))],
    20: [(3, (300, 40, 200, 100)), (3, (20, 300, 100, 100))],
    40: [],
}
"""Category and x, y, width, height in pixels, by picture id."""

Rows = Sequence[tuple[float, ...]]
"""Category, x, y, width, height, score."""


def write_coco(root: Path, name: str = "instances_val2017.json", crowd: bool = False) -> TestData:
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": width, "height": height}
        for i, (width, height) in SIZES_PX.items()
    ]
    annotations: list[dict[str, Any]] = [
        {"image_id": i, "category_id": category, "bbox": box, "iscrowd": 0}
        for i, boxes in BOXES.items()
        for category, box in boxes
    ]
    if crowd:
        box = (0, 0, 40, 40)
        annotations.append({"image_id": 40, "category_id": 2, "bbox": box, "iscrowd": 1})
    for number, annotation in enumerate(annotations):
        annotation["id"] = number + 1
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "bicycle"}]
    categories.append({"id": 3, "name": "car"})
    document = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir()
    (root / "annotations" / name).write_text(json.dumps(document))
    folder = root / ("val2017" if name.startswith("instances") else "validation/data")
    folder.mkdir(parents=True)
    for image in images:
        (folder / image["file_name"]).touch()
    return open_data(DETECTOR if name.startswith("instances") else zoo.find("retinanet"), root)


@pytest.fixture
def coco(tmp_path: Path) -> TestData:
    return write_coco(tmp_path)


@pytest.fixture
def imagenet(tmp_path: Path) -> TestData:
    names = [f"{i}.JPEG" for i in range(8)]
    for name in names:
        (tmp_path / name).touch()
    lines = (f"{name} {label}\n" for name, label in zip(names, LABELS, strict=True))
    (tmp_path / "val_map.txt").write_text("".join(lines))
    return open_data(CLASSIFIER, tmp_path)


LABELS = (65, 970, 0, 999, 3, 3, 500, 12)


def answer(index: int, rows: Rows) -> NDArray[np.float32]:
    """The record of what a detector has found in a sample."""
    width_px, height_px = list(SIZES_PX.values())[index]
    table = np.array(rows, np.float32).reshape(-1, 6)
    boxes = np.column_stack([table[:, 1:3], table[:, 1:3] + table[:, 3:5]])
    found = Detections(boxes, table[:, 5], table[:, 0].astype(np.int64))
    return record(Sample(index, width_px, height_px, b""), found)


def perfect(index: int, *categories: int) -> NDArray[np.float32]:
    """What is in a sample, of these categories or all."""
    wanted = categories or (1, 2, 3)
    boxes = list(BOXES.values())[index]
    return answer(index, [(c, *box, 0.9) for c, box in boxes if c in wanted])


def write_log(
    file: Path, entries: Sequence[tuple[int, NDArray[np.float32]]] | Mapping[int, Any]
) -> Path:
    pairs = entries.items() if isinstance(entries, Mapping) else entries
    document = [
        {"seq_id": seq_id, "qsl_idx": index, "data": row.tobytes().hex().upper()}
        for seq_id, (index, row) in enumerate(pairs)
    ]
    file.write_text(json.dumps(document))
    return file


def score_of(data: TestData, entries: Any, model: str = "ssd-mobilenet") -> Score:
    assert data.directory is not None
    return score(zoo.find(model), data, write_log(data.directory / "log.json", entries))


def evaluate_at_once(
    annotation_file: Path, results: list[dict[str, Any]], pictures: Sequence[int]
) -> float:
    """mAP as MLPerf's accuracy-coco.py has it."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotation_file))
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.imgIds = list(pictures)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def test_all_found(coco: TestData, capfd: pytest.CaptureFixture[str]) -> None:
    score = score_of(coco, {i: perfect(i) for i in range(4)})
    assert score.value == pytest.approx(1)
    assert (score.metric, score.reference, score.passed) == ("mAP", 0.22, True)
    assert score.target == pytest.approx(0.2178)
    assert (score.samples, score.missing) == (4, 0)
    assert score.notes == ["4 pictures, not the 5,000 of COCO val2017: not an official accuracy"]
    assert accuracy_text(score) == "mAP=100.000%"
    assert capfd.readouterr() == ("", "")


def test_nothing_found(coco: TestData) -> None:
    score = score_of(coco, {i: answer(i, []) for i in range(4)})
    assert (score.value, score.passed, score.samples) == (0, False, 4)
    assert accuracy_text(score) == "mAP=0.000%"


def test_one_category_of_two_found(coco: TestData) -> None:
    assert score_of(coco, {i: perfect(i, 1) for i in range(4)}).value == pytest.approx(0.5)
    assert score_of(coco, {i: perfect(i, 3) for i in range(4)}).value == pytest.approx(0.5)


def test_boxes_that_fit_by_72_percent_count_for_five_thresholds_of_ten(coco: TestData) -> None:
    found = {}
    for index, boxes in enumerate(BOXES.values()):
        narrow = [(c, x, y, 0.72 * w, h, 0.9) for c, (x, y, w, h) in boxes]
        found[index] = answer(index, narrow)
    assert score_of(coco, found).value == pytest.approx(0.5)


def test_a_likelier_box_where_nothing_is_halves_the_precision(coco: TestData) -> None:
    found = {i: perfect(i) for i in range(4)}
    found[1] = answer(1, [(1, 5, 100, 60, 120, 0.9), (1, 0, 0, 20, 20, 0.95)])
    found[0] = answer(0, [(1, 10, 20, 100, 50, 0.3), (3, 200, 100, 150, 80, 0.9)])
    # Of class 1 the wrong box comes first, then two right ones: a precision of 1/2, then 2/3,
    # which interpolation makes 2/3 at every recall.
    assert score_of(coco, found).value == pytest.approx((2 / 3 + 1) / 2)


def test_a_false_box_in_a_picture_without_any_counts(coco: TestData) -> None:
    found = {i: perfect(i) for i in range(4)} | {3: answer(3, [(1, 0, 0, 50, 50, 0.95)])}
    assert score_of(coco, found).value == pytest.approx((2 / 3 + 1) / 2)


@pytest.mark.parametrize(
    "order", [[0, 2, 1, 4, 3, 5, 6], [0, 1, 4, 3, 2, 5, 6], [0, 3, 4, 1, 2, 5, 6]]
)
def test_axes_and_corners_have_their_order(coco: TestData, order: list[int]) -> None:
    found = {i: perfect(i)[:, order] for i in range(4)}
    assert score_of(coco, found).value < 0.1


def test_the_order_of_the_log_does_not_matter(coco: TestData) -> None:
    found = [(i, perfect(i)) for i in (2, 0, 3, 1)]
    assert score_of(coco, found).value == pytest.approx(1)


def test_the_first_record_of_a_sample_counts(coco: TestData) -> None:
    right = [(i, perfect(i)) for i in range(4)]
    wrong = [(i, answer(i, [])) for i in range(4)]
    assert score_of(coco, right + wrong).value == pytest.approx(1)
    score = score_of(coco, wrong + right)
    assert (score.value, score.samples, score.missing) == (0, 4, 0)


def test_only_the_pictures_in_the_log_are_judged(coco: TestData) -> None:
    score = score_of(coco, {i: perfect(i) for i in (0, 1)})
    assert score.value == pytest.approx(1)
    assert (score.samples, score.missing) == (2, 2)
    assert score.notes[1] == "2 of 4 samples have no record: not an official accuracy"
    found = {0: perfect(0), 1: answer(1, []), 2: perfect(2)}
    # One of two found: precision 1 up to a recall of 1/2, which 51 of 101 recalls are.
    assert score_of(coco, found).value == pytest.approx((51 / 101 + 1) / 2)


def test_the_first_pictures_alone(tmp_path: Path) -> None:
    write_coco(tmp_path)
    data = open_data(DETECTOR, tmp_path, 2)
    score = score_of(data, {i: perfect(i) for i in range(2)})
    assert score.value == pytest.approx(1)
    assert score.missing == 0
    with pytest.raises(TailraceError, match=r"another data set: it has sample 2, .* ends with 1"):
        score_of(data, {i: perfect(i) for i in range(4)})


def test_crowds_are_not_looked_for(tmp_path: Path) -> None:
    data = write_coco(tmp_path, crowd=True)
    assert score_of(data, {i: perfect(i) for i in range(4)}).value == pytest.approx(1)


def test_openimages(tmp_path: Path) -> None:
    data = write_coco(tmp_path, "openimages-mlperf.json")
    score = score_of(data, {i: perfect(i, 1) for i in range(4)}, "retinanet")
    assert score.value == pytest.approx(0.5)
    assert (score.metric, score.reference, score.passed) == ("mAP", 0.3755, True)
    assert "4 pictures, not the 24,781 of OpenImages" in score.notes[0]
    assert accuracy_text(score) == "mAP=50.000%"


def test_the_same_as_all_categories_at_once(coco: TestData) -> None:
    rng = np.random.default_rng(5)
    found = {}
    for index, boxes in enumerate(BOXES.values()):
        rows = [
            (c, *(np.array(box) + rng.normal(0, 9, 4)), rng.random())
            for c, box in boxes
            for _ in "ab"
        ]
        rows += [(rng.integers(1, 5), 9, 9, *rng.uniform(9, 40, 2), rng.random()) for _ in range(4)]
        found[index] = answer(index, rows)
    assert isinstance(coco.truth, Boxes)
    results = [
        {"image_id": coco.truth.images[i].id, "category_id": int(c), "score": float(s)}
        | {"bbox": [x0 * w, y0 * h, (x1 - x0) * w, (y1 - y0) * h]}
        for i, rows in found.items()
        for w, h in [list(SIZES_PX.values())[i]]
        for _, y0, x0, y1, x1, s, c in rows.tolist()
    ]
    # It needs areas, which MLPerf's sets have.
    document = json.loads(coco.truth.annotation_file.read_text())
    for annotation in document["annotations"]:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    coco.truth.annotation_file.write_text(json.dumps(document))
    expected = evaluate_at_once(coco.truth.annotation_file, results, list(SIZES_PX))
    assert 0.1 < expected < 0.9
    assert score_of(coco, found).value == pytest.approx(expected, abs=1e-12)


def test_other_classes_than_the_models_are_told(coco: TestData) -> None:
    assert coco.directory is not None
    file = coco.directory / "annotations/instances_val2017.json"
    file.write_text(file.read_text().replace("bicycle", "disc"))
    score = score_of(open_data(DETECTOR, coco.directory), {0: perfect(0)})
    assert any("class 2 is 'disc' in the annotations and 'bicycle' to" in n for n in score.notes)


def test_no_boxes_to_find(coco: TestData) -> None:
    with pytest.raises(TailraceError, match=r"no picture in .*log\.json has a box in "):
        score_of(coco, {3: answer(3, [(1, 0, 0, 9, 9, 0.5)])})


def test_annotations_that_are_broken(coco: TestData) -> None:
    assert coco.directory is not None
    file = coco.directory / "annotations/instances_val2017.json"
    whole = file.read_text()
    for broken in (whole.replace('"annotations"', '"other"'), whole.replace("100, 50]", "100]")):
        file.write_text(broken)
        with pytest.raises(UsageError, match=r"val2017\.json is not a COCO annotation file"):
            score_of(coco, {0: perfect(0)})
    file.unlink()
    with pytest.raises(UsageError, match=r"cannot read .*val2017\.json: No such file"):
        score_of(coco, {0: perfect(0)})


def test_no_truth(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    log = write_log(tmp_path / "log.json", {0: answer(0, [])})
    with pytest.raises(UsageError, match=r"no annotations.*ssd-mobilenet needs COCO's layout"):
        score(DETECTOR, open_data(DETECTOR, tmp_path), log)


def said_to_be(*labels: float) -> list[tuple[int, NDArray[np.float32]]]:
    return [(i, np.array([label], np.float32)) for i, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("labels", "good"),
    [(LABELS, 8), ((65, 970, 0, 999, 1, 2, 4, 5), 4), (range(1, 9), 0), ((-1.0,) * 8, 0)],
)
def test_top_1(imagenet: TestData, labels: Sequence[int], good: int) -> None:
    score = score_of(imagenet, said_to_be(*labels), "resnet50")
    assert (score.metric, score.value, score.samples) == ("top-1", good / 8, 8)
    assert score.passed is (good == 8)
    assert "8 pictures, not the 50,000 of ImageNet" in score.notes[0]
    text = accuracy_text(score)
    assert text == f"accuracy={100 * good / 8:.3f}%, good={good}, total=8"
    assert re.fullmatch(r"accuracy=([\d\.]+)%, good=\d+, total=\d+", text)


def test_classes_are_those_of_the_models_answers(imagenet: TestData) -> None:
    sample = Sample(1, 224, 224, b"")
    found = Classes(np.array([970, 65]), np.array([0.9, 0.1], np.float32))
    assert score_of(imagenet, {1: record(sample, found)}, "mobilenet").value == 1


def test_top_1_of_some_samples(imagenet: TestData) -> None:
    right, wrong = said_to_be(*LABELS), said_to_be(*[1] * 8)
    score = score_of(imagenet, [wrong[2], right[5], *right[:4]], "resnet50")
    assert (score.value, score.samples, score.missing) == (4 / 5, 5, 3)
    assert accuracy_text(score) == "accuracy=80.000%, good=4, total=5"
    assert score.notes[1] == "3 of 8 samples have no record: not an official accuracy"


def test_a_failed_sample_is_wrong(imagenet: TestData) -> None:
    entries = said_to_be(*LABELS)
    entries[6] = (6, np.zeros(0, np.float32))
    score = score_of(imagenet, entries, "resnet50")
    assert score.value == 7 / 8
    assert score.notes[1] == "empty records, counted as wrong: 1"


@pytest.mark.parametrize(("total", "passed"), [(0.7569, False), (0.757, True)])
def test_what_passes(tmp_path: Path, total: float, passed: bool) -> None:
    (tmp_path / "a.JPEG").touch()
    (tmp_path / "val_map.txt").write_text("a.JPEG 7\n" * 10_000)
    right = round(total * 10_000)
    entries = said_to_be(*[7] * right, *[8] * (10_000 - right))
    score = score_of(open_data(CLASSIFIER, tmp_path), entries, "resnet50")
    assert score.value == total
    # 0.7646 x 0.99 = 0.756954.
    assert score.passed is passed


def test_an_official_data_set_is_not_noted(tmp_path: Path) -> None:
    (tmp_path / "a.JPEG").touch()
    (tmp_path / "val_map.txt").write_text("a.JPEG 7\n" * 50_000)
    data = open_data(CLASSIFIER, tmp_path)
    assert score_of(data, said_to_be(*[7] * 50_000), "resnet50").notes == []
    assert len(score_of(data, said_to_be(*[7] * 49_999), "resnet50").notes) == 1


def test_a_record_of_a_class_has_one_number(imagenet: TestData) -> None:
    with pytest.raises(TailraceError, match="sample 3 has 7 numbers, not that of a class"):
        score_of(imagenet, {3: perfect(2)[0]}, "resnet50")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:, :6], r"sample 2 has 12 numbers, not 7 a detection"),
        (lambda rows: rows.ravel()[:-1], r"sample 2 has 13 numbers"),
        (lambda rows: rows + np.float32([1, 0, 0, 0, 0, 0, 0]), r"sample 2 says .* is of 3"),
        (lambda rows: rows + np.float32([[0] * 7, [1] + [0] * 6]), r"sample 2 says .* is of 3"),
        (lambda rows: rows * np.float32([-1, 1, 1, 1, 1, 1, 1]), r"sample 2 says .* is of -2"),
        (lambda rows: rows + np.float32([0, 0, 0, 0, 0, 0, 0.5]), r"sample 2 has a class 3\.5"),
        (lambda rows: rows * np.float32(np.inf), r"sample 2 has infinities or NaNs"),
        (lambda rows: rows * np.float32(np.nan), r"sample 2 has infinities or NaNs"),
    ],
)
def test_records_that_are_no_detectors(coco: TestData, change: Any, message: str) -> None:
    with np.errstate(invalid="ignore"):
        broken = change(perfect(2))
    with pytest.raises(TailraceError, match=message):
        score_of(coco, {0: perfect(0), 2: broken})


def through_the_log(data: TestData, model: str, file: Path, folder: Path) -> tuple[Score, float]:
    """A model's score, from its records in a log, and its mAP by its boxes in pixels."""
    spec = zoo.find(model)
    loaded = load(spec, file, RuntimeOptions(threads=2))
    entries = {}
    results: list[dict[str, Any]] = []
    assert isinstance(data.truth, Boxes)
    for index in range(data.total):
        picture = loaded.decode(data.read(index))
        height_px, width_px = picture.shape[:2]
        tensors = loaded.infer(loaded.preprocess(picture))
        found = loaded.postprocess(tensors, width_px, height_px)
        assert isinstance(found, Detections)
        entries[index] = record(Sample(index, width_px, height_px, b""), found)
        corners = found.boxes.astype(float)
        sizes = corners[:, 2:] - corners[:, :2]
        results += [
            {"image_id": data.truth.images[index].id, "category_id": category, "score": share}
            | {"bbox": box}
            for category, share, box in zip(
                found.class_ids.tolist(),
                found.scores.tolist(),
                np.column_stack([corners[:, :2], sizes]).tolist(),
                strict=True,
            )
        ]
    pictures = [image.id for image in data.truth.images]
    direct = evaluate_at_once(data.truth.annotation_file, results, pictures)
    return score(spec, data, write_log(folder / "log.json", entries)), direct


def test_the_real_detector_is_worth_as_much_through_the_log(
    tmp_path: Path, coco_model: Path, coco_mini: Path
) -> None:
    data = open_data(DETECTOR, coco_mini)
    assert (data.name, data.total) == ("coco-mini", 79)
    score, direct = through_the_log(data, "ssd-mobilenet", coco_model, tmp_path)
    assert score.value == pytest.approx(direct, abs=1e-4)
    assert score.value == pytest.approx(0.2215, abs=0.002)
    assert score.passed
    # The classes of its annotations are the model's, or there would be a second.
    assert score.notes == ["79 pictures, not the 5,000 of COCO val2017: not an official accuracy"]
    assert re.fullmatch(r"mAP=22\.\d{3}%", accuracy_text(score))


def test_the_embedded_detector_on_scenes_it_never_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path))
    data = open_data(zoo.find("shapes"), None, 40)
    with as_file(files("tailrace.models") / "embedded" / "shapes.onnx") as model:
        score, direct = through_the_log(data, "shapes", model, tmp_path)
    assert score.value == pytest.approx(direct, abs=1e-4)
    assert score.value > 0.5
    assert (score.reference, score.target, score.passed) == (None, None, None)
    assert score.notes == ["MLPerf asks no accuracy of shapes: not an official accuracy"]
