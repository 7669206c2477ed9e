"""The embedded detector's accuracy on drawn scenes it never saw, and its file's promises."""

from importlib.resources import files

import numpy as np
import onnxruntime
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tailrace.datasets.shapes import CATEGORIES, HELD_OUT_SEEDS, SIZE_PX, annotations, draw_scene

SCENES = 300
OUTPUTS = ["num_detections:0", "detection_boxes:0", "detection_scores:0", "detection_classes:0"]
WEIGHTS = files("tailrace.models") / "embedded" / "shapes.onnx"


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(seed) for seed in HELD_OUT_SEEDS[:SCENES]]


@pytest.fixture(scope="module")
def session():
    return onnxruntime.InferenceSession(WEIGHTS.read_bytes(), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def detect(session):
    return lambda images: session.run(OUTPUTS, {"image_tensor:0": images})


@pytest.mark.slow("300 pictures")
def test_mean_average_precision(scenes, session, detect):
    rows = []
    for image_id, scene in enumerate(scenes):
        count, boxes, scores, classes = detect(scene.image[None])
        found = int(count[0])
        top_left, bottom_right = boxes[0, :found, 1::-1], boxes[0, :found, :1:-1]
        rows.append(
            np.column_stack(
                [
                    np.full(found, image_id),
                    top_left * SIZE_PX,
                    (bottom_right - top_left) * SIZE_PX,
                    scores[0, :found],
                    classes[0, :found],
                ]
            )
        )
    truth = COCO()
    truth.dataset = annotations(scenes, [f"{i:012d}.jpg" for i in range(SCENES)])
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(np.concatenate(rows)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    promised = float(session.get_modelmeta().custom_metadata_map["map_50_95"])
    assert promised > 0.85
    assert evaluation.stats[0] == pytest.approx(promised, abs=0.005)


def test_a_batch_answers_as_its_pictures_do_alone(scenes, detect):
    images = np.stack([scene.image for scene in scenes[:4]])
    together = detect(images)
    for index, image in enumerate(images):
        for whole, alone in zip(together, detect(image[None]), strict=True):
            np.testing.assert_allclose(whole[index], alone[0], atol=1e-4)


def test_outputs_are_those_of_mlperfs_detector(scenes, detect):
    count, boxes, scores, classes = detect(np.stack([scene.image for scene in scenes[:8]]))
    assert [output.dtype for output in (count, boxes, scores, classes)] == [np.float32] * 4
    assert count.shape == (8,)
    assert boxes.shape == (8, 100, 4)
    assert scores.shape == classes.shape == (8, 100)
    assert np.all(np.diff(scores, axis=1) <= 0)
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    used = np.arange(100) < count[:, None]
    assert set(np.unique(classes[used])) <= set(range(1, len(CATEGORIES) + 1))
    assert np.all(scores[used] > 0)
    for output in (boxes, scores, classes):
        assert not output[~used].any()


def test_an_empty_picture_holds_nothing(detect):
    count, boxes, scores, classes = detect(np.full((2, SIZE_PX, SIZE_PX, 3), 128, np.uint8))
    assert count.tolist() == [0, 0]
    assert not boxes.any()
    assert not scores.any()
    assert not classes.any()


def test_the_file_says_what_it_is(session):
    properties = session.get_modelmeta().custom_metadata_map
    assert properties["classes"].split(",") == list(CATEGORIES)
    assert properties["producer"]
    assert int(properties["training_scenes"]) > 0
