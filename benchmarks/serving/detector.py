"""A picture's way through the model, the same for the bare loop and every peer.

Peers import this in environments of their own, which hold only what `tailrace.models` needs.
"""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.serving import environment
from tailrace.models import zoo
from tailrace.models.model import Model, RuntimeOptions
from tailrace.models.model import load as load_model
from tailrace.models.outputs import Detections


def load() -> Model:
    """The model named in the environment, warm; computes on one thread, as `tailrace serve`'s."""
    cv2.setNumThreads(1)
    spec = zoo.find(os.environ[environment.MODEL])
    model = load_model(spec, Path(os.environ[environment.FILE]), RuntimeOptions(threads=1))
    model.warm_up()
    return model


def infer(model: Model, data: bytes) -> tuple[NDArray[np.uint8], list[NDArray[Any]]]:
    """Decode, preprocess, run: the picture, uint8 [height, width, 3], and the output tensors."""
    image = model.decode(data)
    return image, model.infer(model.preprocess(image))


def detect(model: Model, data: bytes) -> dict[str, Any]:
    """What `tailrace serve` answers to POST /predict, as a document to be encoded as JSON."""
    image, tensors = infer(model, data)
    height_px, width_px = image.shape[:2]
    found = model.postprocess(tensors, width_px, height_px)
    assert isinstance(found, Detections)
    labels = model.spec.labels
    return {
        "model": model.spec.name,
        "detections": [
            {
                "label": labels.get(class_id, str(class_id)),
                "class_id": class_id,
                "score": score,
                "box": box,
            }
            for class_id, score, box in zip(
                found.class_ids.tolist(),
                np.round(found.scores.astype(np.float64), 6).tolist(),
                np.round(found.boxes.astype(np.float64), 3).tolist(),
                strict=True,
            )
        ],
    }
