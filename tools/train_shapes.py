"""Trains the embedded detector on drawn scenes and writes it as ONNX.

Needs torch and onnx (the extra `train`) and pycocotools. The budget is wall-clock time: the
learning rate reaches its end when the time does, however fast the machine is. docs/shapes.md has
the settings that make a CPU faster at it.

    python tools/train_shapes.py --minutes 65 --out src/tailrace/models/embedded/shapes.onnx
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import time
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

from shapes_export import export
from shapes_loss import detection_loss
from shapes_model import INPUT_PX, ShapesNet, anchors
from shapes_pool import Pool
from tailrace.datasets.shapes import (
    CATEGORIES,
    HELD_OUT_SEEDS,
    TRAIN_SEEDS,
    Scene,
    annotations,
    draw_scene,
)

VALIDATION_SEEDS = range(TRAIN_SEEDS.stop - 10_000, TRAIN_SEEDS.stop - 9_800)
FINAL_SEEDS = HELD_OUT_SEEDS[:300]
BOX_WEIGHT = 2.0
EMA_DECAY = 0.998
WARM_UP = 0.01
FINAL_RATE = 0.01
REPORT_S = 15

Parts = dict[str, nn.Module | torch.optim.Optimizer]


def mean_average_precision(path: Path, seeds: range) -> float:
    """COCO's mAP @[.5:.95] of an exported model on the scenes of these seeds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    scenes: list[Scene] = []
    results = []
    for image_id, seed in enumerate(seeds):
        scene = draw_scene(seed)
        scenes.append(scene)
        count, boxes, scores, classes = session.run(None, {"image_tensor:0": scene.image[None]})
        for row in range(int(count[0])):
            top, left, bottom, right = (float(v) * INPUT_PX for v in boxes[0, row])
            results.append(
                {
                    "image_id": image_id,
                    "category_id": int(classes[0, row]),
                    "bbox": [left, top, right - left, bottom - top],
                    "score": float(scores[0, row]),
                }
            )
    if not results:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = annotations(scenes, [f"{i:012d}.jpg" for i in range(len(scenes))])
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def learning_rate(progress: float, peak: float) -> float:
    """Linear warm-up, then a half cosine to `FINAL_RATE` of the peak; progress in 0..1."""
    if progress < WARM_UP:
        return peak * max(progress / WARM_UP, 0.01)
    phase = min((progress - WARM_UP) / (1 - WARM_UP), 1.0)
    return peak * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * phase)))


def optimizer_for(net: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, step: int) -> None:
    decay = min(EMA_DECAY, (1 + step) / (10 + step))
    state = net.state_dict()
    for name, value in average.state_dict().items():
        if value.dtype.is_floating_point:
            value.lerp_(state[name].to(value.dtype), 1 - decay)


def save(path: Path, parts: Parts, step: int, spent_s: float, next_seed: int) -> None:
    state: dict[str, object] = {name: part.state_dict() for name, part in parts.items()}
    state |= {"step": step, "spent_s": spent_s, "next_seed": next_seed}
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def restore(path: Path, parts: Parts) -> tuple[int, float, int]:
    """Loads a checkpoint into its parts; returns steps, seconds and scenes so far."""
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"], state["spent_s"], state["next_seed"]


def publish(net: ShapesNet, path: Path, seeds: range, scenes: int) -> float:
    """Exports the weights to `path`, with their mAP on `seeds` in its metadata; returns the mAP."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "producer": "tailrace tools/train_shapes.py",
        "classes": ",".join(CATEGORIES),
        "training_scenes": str(scenes),
    }
    candidate = path.with_suffix(".candidate")
    export(net, candidate, metadata)
    score = mean_average_precision(candidate, seeds)
    metadata["map_50_95"] = f"{score:.4f}"
    metadata["map_scenes"] = f"seeds {seeds.start} to {seeds.stop - 1}"
    export(net, path, metadata)
    candidate.unlink()
    return score


def train(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    net = ShapesNet(len(CATEGORIES), arguments.width).to(memory_format=torch.channels_last)
    average = deepcopy(net).eval()
    optimizer = optimizer_for(net, arguments.weight_decay)
    parts = {"net": net, "average": average, "optimizer": optimizer}
    arguments.work.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.work / "checkpoint.pt"
    step, spent_s, next_seed = restore(checkpoint, parts) if arguments.resume else (0, 0.0, 0)
    pool = Pool(
        range(VALIDATION_SEEDS.start),
        next_seed,
        capacity=arguments.pool,
        initial=min(arguments.initial, arguments.pool),
    )
    prior = torch.from_numpy(anchors())
    budget_s = arguments.minutes * 60
    start = time.monotonic() - spent_s
    reported = saved = time.monotonic()
    losses: list[tuple[float, float]] = []
    while (spent_s := time.monotonic() - start) < budget_s:
        rate = learning_rate(spent_s / budget_s, arguments.rate)
        for group in optimizer.param_groups:
            group["lr"] = rate
        images, boxes, labels = pool.batch(arguments.batch, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=not arguments.float32):
            logits, offsets = net(images)
        class_loss, box_loss = detection_loss(logits.float(), offsets.float(), boxes, labels, prior)
        optimizer.zero_grad()
        (class_loss + BOX_WEIGHT * box_loss).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimizer.step()
        step += 1
        follow(average, net, step)
        pool.draw(arguments.fresh)
        losses.append((class_loss.item(), box_loss.item()))
        now = time.monotonic()
        if now - reported > REPORT_S:
            class_mean, box_mean = np.mean(losses, axis=0)
            speed_per_s = len(losses) * arguments.batch / (now - reported)
            print(
                f"step {step} class {class_mean:.3f} box {box_mean:.3f} rate {rate:.2e} "
                f"{speed_per_s:.0f} img/s left {budget_s - spent_s:.0f} s",
                flush=True,
            )
            reported, losses = now, []
        if now - saved > arguments.every * 60:
            save(checkpoint, parts, step, spent_s, pool.next_seed)
            path = arguments.work / "shapes.onnx"
            score = publish(average, path, VALIDATION_SEEDS, pool.next_seed)
            print(f"step {step} validation mAP {score:.4f}", flush=True)
            reported = saved = time.monotonic()
            losses = []
    save(checkpoint, parts, step, spent_s, pool.next_seed)
    score = publish(average, arguments.out, FINAL_SEEDS, pool.next_seed)
    print(f"done: {step} steps, {pool.next_seed} scenes, held-out mAP {score:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=65, help="wall-clock budget")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--work", type=Path, default=Path("build/shapes"), help="checkpoints")
    parser.add_argument("--every", type=float, default=4, help="minutes between checkpoints")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--width", type=float, default=0.5, help="MobileNet width multiplier")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--pool", type=int, default=16_000, help="scenes kept in memory")
    parser.add_argument("--initial", type=int, default=6_000, help="scenes drawn before training")
    parser.add_argument("--fresh", type=int, default=6, help="new scenes a step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--float32", action="store_true", help="train without bfloat16")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
