"""Outlines of the drawn categories: closed polygons, and where they go on a picture.

A shape is one polygon, or two where the second is a hole (filled by the even-odd rule).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Outline = list[NDArray[np.float64]]
"""Closed polygons, each [points, 2] of x, y."""

_CURVE_POINTS = 72
_DIAMETER_PX = (38.0, 170.0)
_OVERHANG = 0.08


def place(
    rng: np.random.Generator, name: str, canvas_px: int
) -> tuple[Outline, NDArray[np.float32]]:
    """Puts a shape of a category, at random rotation, size and position, on a square canvas.

    Returns its polygons in pixels and its box, float32 [4]: x, y, width, height, tight around the
    polygons and clipped to the canvas. The longer side of the unclipped box is 38 to 170 px,
    evenly spread in its logarithm; up to 8 % of a side may stick out of the canvas.
    Raises `KeyError` for a name that is no category.
    """
    rings = _turned(OUTLINES[name](rng), rng.uniform(0, 2 * np.pi))
    points = np.concatenate(rings)
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    scale = np.exp(rng.uniform(*np.log(_DIAMETER_PX))) / extent.max()
    extent_px = extent * scale
    corner = rng.uniform(-_OVERHANG * extent_px, canvas_px - (1 - _OVERHANG) * extent_px)
    top_left = np.clip(corner, 0, canvas_px)
    bottom_right = np.clip(corner + extent_px, 0, canvas_px)
    box = np.concatenate([top_left, bottom_right - top_left]).astype(np.float32)
    return [(ring - low) * scale + corner for ring in rings], box


def _turned(rings: Outline, angle: float) -> Outline:
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, sine], [-sine, cosine]])
    return [points @ rotation for points in rings]


def _circle(radius: float, count: int = _CURVE_POINTS) -> NDArray[np.float64]:
    turn = np.arange(count) * (2 * np.pi / count)
    return radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)


def _disc(rng: np.random.Generator) -> Outline:
    return [_circle(1.0)]


def _rectangle(rng: np.random.Generator) -> Outline:
    side = rng.uniform(0.45, 1.0)
    return [np.array([[-1, -side], [1, -side], [1, side], [-1, side]])]


def _triangle(rng: np.random.Generator) -> Outline:
    return [_circle(1.0, 3) * (1.0, rng.uniform(0.75, 1.2))]


def _star(rng: np.random.Generator) -> Outline:
    points = _circle(1.0, 10)
    points[1::2] *= rng.uniform(0.38, 0.5)
    return [points]


def _hexagon(rng: np.random.Generator) -> Outline:
    return [_circle(1.0, 6)]


def _cross(rng: np.random.Generator) -> Outline:
    arm = rng.uniform(0.24, 0.38)
    quarter = np.array([[1, -arm], [1, arm], [arm, arm]])
    turns = [np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return [np.concatenate([quarter @ turn for turn in turns])]


def _ring(rng: np.random.Generator) -> Outline:
    return [_circle(1.0), _circle(rng.uniform(0.5, 0.72))]


def _heart(rng: np.random.Generator) -> Outline:
    # The well-known parametric heart: 16 sin^3 t, 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t.
    t = np.arange(_CURVE_POINTS) * (2 * np.pi / _CURVE_POINTS)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [np.stack([x, -y], axis=1) / 16]


def _crescent(rng: np.random.Generator) -> Outline:
    # Outer arc of the unit circle, inner arc of an equal-height ellipse bulging the same way.
    t = np.linspace(np.pi / 2, 3 * np.pi / 2, _CURVE_POINTS // 2)
    outer = np.stack([np.cos(t), np.sin(t)], axis=1)
    inner = outer[-2:0:-1] * (rng.uniform(0.1, 0.4), 1.0)
    return [np.concatenate([outer, inner])]


def _arrow(rng: np.random.Generator) -> Outline:
    shaft, neck = rng.uniform(0.18, 0.28), rng.uniform(-0.1, 0.2)
    upper = np.array([[-1, -shaft], [neck, -shaft], [neck, -0.65]])
    tip = np.array([[1.0, 0.0]])
    return [np.concatenate([upper, tip, upper[::-1] * (1, -1)])]


OUTLINES: dict[str, Callable[[np.random.Generator], Outline]] = {
    "disc": _disc,
    "rectangle": _rectangle,
    "triangle": _triangle,
    "star": _star,
    "hexagon": _hexagon,
    "cross": _cross,
    "ring": _ring,
    "heart": _heart,
    "crescent": _crescent,
    "arrow": _arrow,
}
