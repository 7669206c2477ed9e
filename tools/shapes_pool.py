"""Training batches: drawn scenes kept in memory, turned and recoloured on the way out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from shapes_model import INPUT_PX
from tailrace.datasets.shapes import draw_scene

MAX_OBJECTS = 7


class Pool:
    """Drawn scenes kept in memory as bytes; new ones push out the oldest."""

    def __init__(self, seeds: range, first_seed: int, capacity: int, initial: int):
        self.seeds = seeds
        self.capacity = capacity
        self.images = np.empty((capacity, INPUT_PX, INPUT_PX, 3), np.uint8)
        self.boxes = np.zeros((capacity, MAX_OBJECTS, 4), np.float32)
        self.labels = np.zeros((capacity, MAX_OBJECTS), np.int64)
        self.first_seed = self.next_seed = first_seed
        self.draw(initial)

    def draw(self, count: int) -> None:
        for _ in range(count):
            slot = (self.next_seed - self.first_seed) % self.capacity
            scene = draw_scene(self.seeds[self.next_seed % len(self.seeds)])
            found = len(scene.boxes)
            x, y, width, height = scene.boxes.T / INPUT_PX
            self.images[slot] = scene.image
            self.boxes[slot, :found] = np.stack([y, x, y + height, x + width], axis=1)
            self.labels[slot, :found] = scene.category_ids
            self.labels[slot, found:] = 0
            self.next_seed += 1

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures [b, 3, 300, 300] in -1..1, boxes [b, 7, 4] in 0..1, labels [b, 7] (0: none)."""
        filled = min(self.next_seed - self.first_seed, self.capacity)
        slots = rng.choice(filled, size, replace=False)
        images = np.empty((size, INPUT_PX, INPUT_PX, 3), np.uint8)
        boxes = self.boxes[slots]
        # The eight symmetries of the square and the order of colours keep every label true.
        for i, (slot, symmetry) in enumerate(zip(slots, rng.integers(8, size=size), strict=True)):
            image = self.images[slot]
            if symmetry & 1:
                image = image[:, ::-1]
                boxes[i] = boxes[i][:, [0, 3, 2, 1]] * (1, -1, 1, -1) + (0, 1, 0, 1)
            if symmetry & 2:
                image = image[::-1]
                boxes[i] = boxes[i][:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (1, 0, 1, 0)
            if symmetry & 4:
                image = image.transpose(1, 0, 2)
                boxes[i] = boxes[i][:, [1, 0, 3, 2]]
            images[i] = image
        x = torch.from_numpy(images).permute(0, 3, 1, 2)[:, rng.permutation(3).tolist()]
        x = x.contiguous(memory_format=torch.channels_last).float().mul_(2 / 255).sub_(1)
        return x, torch.from_numpy(boxes), torch.from_numpy(self.labels[slots])
