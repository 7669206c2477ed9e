"""The real model's mAP, from pictures posted to a real service."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tailrace.datasets.coco import CocoDataset

pytestmark = pytest.mark.slow("79 pictures through a real model")


async def test_map_of_ssd_mobilenet(
    launch: Callable[..., Any], coco_model: Path, coco_mini: Path
) -> None:
    arguments = ("ssd-mobilenet", "--model-path", str(coco_model), "--dataset", str(coco_mini))
    url = launch(*arguments, "--port", "0").start().url
    dataset = CocoDataset.open(coco_mini)
    assert len(dataset.images) == 79
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        answers = await asyncio.gather(
            *(
                client.post("/predict/ssd-mobilenet", content=image.file.read_bytes())
                for image in dataset.images
            )
        )
        assert (await client.get("/gpu")).text == "ok"
    results = []
    for image, answer in zip(dataset.images, answers, strict=True):
        for row in answer.json()["detections"]:
            left, top, right, bottom = row["box"]
            assert row["label"] == dataset.categories[row["class_id"]]
            results.append(
                {
                    "image_id": image.id,
                    "category_id": row["class_id"],
                    "score": row["score"],
                    "bbox": [left, top, right - left, bottom - top],
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(dataset.annotation_file))
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(0.2215, abs=0.002)
