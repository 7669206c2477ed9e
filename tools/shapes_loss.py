"""Which anchor answers for which object, and how far off the answers are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from shapes_model import decode

MIN_IOU = 0.5
NEAREST = 8
NEAREST_MIN_IOU = 0.3


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al., 2019) of boxes [..., 4], broadcast."""
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = area_a + area_b - shared + 1e-9
    hull_low = torch.minimum(a[..., :2], b[..., :2])
    hull_high = torch.maximum(a[..., 2:], b[..., 2:])
    hull = (hull_high - hull_low).prod(-1) + 1e-9
    iou = shared / union
    return iou, iou - (hull - union) / hull


@torch.no_grad()
def match(boxes: Tensor, labels: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Each anchor's object [b, a], and whether it has one, of boxes [b, n, 4] and labels [b, n].

    A label of 0 marks no object; `prior` is the anchors [a, 4] as centre and size.
    An anchor answers for an object if their IoU is at least 0.5, or at least 0.3 and among the
    object's 8 best, or the object's best; of several objects it takes the one it overlaps most.
    """
    corners = torch.cat([prior[:, :2] - prior[:, 2:] / 2, prior[:, :2] + prior[:, 2:] / 2], dim=-1)
    iou, _ = overlap(boxes[:, :, None], corners)
    best = iou.topk(NEAREST, dim=-1).values
    bar = best[..., -1:].clamp(min=NEAREST_MIN_IOU, max=MIN_IOU)
    bar = torch.minimum(bar, best[..., :1])
    answers = (iou >= bar) & (labels > 0)[..., None]
    value, owner = torch.where(answers, iou, -1.0).max(dim=1)
    return owner, value >= 0


def detection_loss(
    logits: Tensor, offsets: Tensor, boxes: Tensor, labels: Tensor, prior: Tensor
) -> tuple[Tensor, Tensor]:
    """Quality focal loss (Li et al., 2020) of the classes, generalised IoU loss of the boxes.

    The score to reach is the IoU of the predicted box, so that ranking by score ranks by fit.
    Both are sums over anchors divided by the number of anchors that answer for an object.
    """
    owner, positive = match(boxes, labels, prior)
    picture, anchor = positive.nonzero(as_tuple=True)
    target_boxes = boxes[picture, owner[picture, anchor]]
    predicted = decode(offsets[picture, anchor], prior[anchor])
    iou, giou = overlap(predicted, target_boxes)
    quality = torch.zeros_like(logits)
    number = labels[picture, owner[picture, anchor]] - 1
    quality[picture, anchor, number] = iou.detach()
    score = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    count = max(len(picture), 1)
    class_loss = ((quality - score).abs().square() * entropy).sum() / count
    return class_loss, (1 - giou).sum() / count
