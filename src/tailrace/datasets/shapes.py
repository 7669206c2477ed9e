"""Drawn detection data: scenes of ten kinds of shapes, each a pure function of its seed.

Boxes follow COCO: [x, y, width, height] in pixels, x to the right, y downwards, measured on
pixel edges, so that a box over the whole picture is [0, 0, 300, 300].
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from tailrace.datasets.outlines import OUTLINES, place
from tailrace.errors import UsageError

CATEGORIES: tuple[str, ...] = tuple(OUTLINES)
"""Names of the categories; the id of `CATEGORIES[i]` is i + 1."""

TRAIN_SEEDS = range(1_000_000)
"""Seeds the embedded detector may have seen in training."""

HELD_OUT_SEEDS = range(1_000_000, 2_000_000)
"""Seeds kept for evaluation: never used in training."""

SIZE_PX = 300
ANNOTATION_FILE = Path("annotations/instances_val2017.json")
IMAGE_DIRECTORY = Path("val2017")

_MAX_OBJECTS = 7
_MIN_VISIBLE = 0.7
_ATTEMPTS = 4
_MIN_CONTRAST = 70.0
_SUBPIXEL_BITS = 4
_NOISE_QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])

ImageFormat = Literal["jpg", "png"]


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture and what is in it.

    `image`: uint8 [300, 300, 3], RGB. `boxes`: float32 [n, 4], [x, y, width, height] in pixels.
    `category_ids`: int64 [n], 1 to 10. n is at least 1.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    category_ids: NDArray[np.int64]


def draw_scene(seed: int) -> Scene:
    """Draws the scene of a seed (a non-negative integer); the same seed gives the same scene.

    Raises `UsageError` for a negative seed.
    """
    if seed < 0:
        raise UsageError(f"a scene's seed is 0 or more, not {seed}")
    rng = np.random.Generator(np.random.PCG64(seed))
    image = _background(rng)
    backdrop = cv2.mean(image)[:3]
    owner = np.full((SIZE_PX, SIZE_PX), -1, np.int8)
    areas: list[int] = []
    boxes: list[NDArray[np.float32]] = []
    category_ids: list[int] = []
    wanted = int(rng.integers(1, _MAX_OBJECTS + 1))
    while len(boxes) < wanted:
        # A crowded scene ends early instead of hiding what it already shows.
        for _ in range(_ATTEMPTS):
            kind = int(rng.integers(len(CATEGORIES)))
            rings, box = place(rng, CATEGORIES[kind], SIZE_PX)
            coverage, rows, columns = _rasterise(rings, box)
            inside = coverage > 127
            covered = owner[rows, columns]
            hidden = np.bincount(covered[inside] + 1, minlength=len(areas) + 1)[1:]
            visible = np.bincount(owner.ravel() + 1, minlength=len(areas) + 1)[1:]
            if np.all(visible - hidden >= _MIN_VISIBLE * np.array(areas)):
                break
        else:
            break
        covered[inside] = len(areas)
        areas.append(int(np.count_nonzero(inside)))
        _paint(rng, image[rows, columns], coverage, backdrop)
        boxes.append(box)
        category_ids.append(kind + 1)
    return Scene(_expose(rng, image), np.array(boxes), np.array(category_ids, np.int64))


def annotations(scenes: Sequence[Scene], file_names: Sequence[str]) -> dict[str, Any]:
    """The COCO "instances" document of scenes stored under these file names.

    A picture's id is the number its file name spells, as in COCO; `area` is the box's, in pixels.
    Raises `ValueError` when the two sequences differ in length.
    """
    images = []
    instances: list[dict[str, Any]] = []
    for scene, file_name in zip(scenes, file_names, strict=True):
        image_id = int(Path(file_name).stem)
        images.append(_image_entry(image_id, file_name))
        instances.extend(_instances(scene, image_id, len(instances) + 1))
    return _document(images, instances)


def generate(
    directory: Path,
    count: int,
    seed: int,
    image_format: ImageFormat = "jpg",
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Writes `count` scenes, of seeds `seed` upwards, in COCO's layout; returns the annotations.

    Pictures go to `val2017/<id, 12 digits>.<format>`, an id being 1 + its place in the series.
    `annotations/instances_val2017.json` appears last and whole, so a killed run leaves none.
    `progress` is called with the number of pictures written so far. Raises `UsageError` for a
    count below 1, a negative seed, or a directory that cannot be written.
    """
    if count < 1:
        raise UsageError(f"the number of pictures is 1 or more, not {count}")
    images = []
    instances: list[dict[str, Any]] = []
    annotation_file = directory / ANNOTATION_FILE
    try:
        (directory / IMAGE_DIRECTORY).mkdir(parents=True, exist_ok=True)
        annotation_file.parent.mkdir(exist_ok=True)
        annotation_file.unlink(missing_ok=True)
        for index in range(count):
            scene = draw_scene(seed + index)
            file_name = f"{index + 1:012d}.{image_format}"
            _write_image(directory / IMAGE_DIRECTORY / file_name, scene.image)
            images.append(_image_entry(index + 1, file_name))
            instances.extend(_instances(scene, index + 1, len(instances) + 1))
            if progress is not None:
                progress(index + 1)
        partial = annotation_file.with_suffix(".json.partial")
        partial.write_text(json.dumps(_document(images, instances)), encoding="utf-8")
        partial.replace(annotation_file)
    except OSError as error:
        raise UsageError(f"cannot write to {directory}: {error.strerror or error}") from error
    return annotation_file


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    parameters = [cv2.IMWRITE_JPEG_QUALITY, 95] if path.suffix == ".jpg" else []
    _, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), parameters)
    path.write_bytes(encoded.tobytes())


def _image_entry(image_id: int, file_name: str) -> dict[str, Any]:
    return {"id": image_id, "file_name": file_name, "width": SIZE_PX, "height": SIZE_PX}


def _instances(scene: Scene, image_id: int, first_id: int) -> list[dict[str, Any]]:
    return [
        {
            "id": first_id + index,
            "image_id": image_id,
            "category_id": int(category_id),
            "bbox": [float(value) for value in box],
            "area": float(box[2] * box[3]),
            "iscrowd": 0,
        }
        for index, (box, category_id) in enumerate(
            zip(scene.boxes, scene.category_ids, strict=True)
        )
    ]


def _document(images: list[dict[str, Any]], instances: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "info": {"description": "Tailrace shapes: drawn scenes", "version": "1"},
        "images": images,
        "annotations": instances,
        "categories": [
            {"id": index + 1, "name": name, "supercategory": "shape"}
            for index, name in enumerate(CATEGORIES)
        ],
    }


def _background(rng: np.random.Generator) -> NDArray[np.uint8]:
    first = rng.uniform(20, 235, 3)
    second = np.clip(first + rng.uniform(-60, 60, 3), 0, 255)
    axis = np.arange(SIZE_PX, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.add.outer(np.sin(angle) * axis, np.cos(angle) * axis).astype(np.float32)
    texture = rng.integers(4)
    if texture == 0:
        cells = int(rng.integers(4, 40))
        coarse = rng.random((cells, cells), dtype=np.float32)
        mix = cv2.resize(coarse, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_LINEAR)
    elif texture == 1:
        mix = 0.5 + 0.5 * np.sin(along * np.float32(2 * np.pi / rng.uniform(8, 60)))
    elif texture == 2:
        mix = (along - along.min()) / np.ptp(along)
    else:
        steps = (axis // rng.uniform(8, 50)).astype(np.int32)
        mix = ((steps[:, None] + steps[None, :]) % 2).astype(np.float32)
    return _blend(first, second, np.asarray(mix, np.float32))


def _blend(
    first: NDArray[np.float64], second: NDArray[np.float64], mix: NDArray[np.float32]
) -> NDArray[np.uint8]:
    levels = np.linspace(0, 1, 256)[:, None]
    table = (first + (second - first) * levels).astype(np.uint8)[None]
    index = (mix * 255).astype(np.uint8)
    return np.asarray(cv2.LUT(cv2.merge([index, index, index]), table), np.uint8)


def _rasterise(
    rings: list[NDArray[np.float64]], box: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], slice, slice]:
    left, top = np.floor(box[:2]).astype(int)
    right, bottom = np.ceil(box[:2] + box[2:]).astype(int)
    coverage = np.zeros((bottom - top, right - left), np.uint8)
    # OpenCV puts whole coordinates at pixel centres, COCO at pixel edges: hence the half.
    polygons = [
        np.rint((ring - (left, top) - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        for ring in rings
    ]
    cv2.fillPoly(coverage, polygons, 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return coverage, slice(top, bottom), slice(left, right)


def _paint(
    rng: np.random.Generator,
    target: NDArray[np.uint8],
    coverage: NDArray[np.uint8],
    backdrop: Sequence[float],
) -> None:
    colour = _contrasting(rng, backdrop)
    style = rng.random()
    fill = np.empty_like(target)
    if style < 0.35:
        end = np.clip(colour + rng.uniform(-70, 70, 3), 0, 255)
        ramp = np.linspace(0, 1, target.shape[0], dtype=np.float32)[:, None]
        fill[:] = _blend(colour, end, np.broadcast_to(ramp, target.shape[:2]))
    else:
        fill[:] = colour.astype(np.uint8)
    if style > 0.7:
        inner = cv2.erode(coverage, np.ones((3, 3), np.uint8), borderValue=0)
        edge = _contrasting(rng, colour.tolist())
        fill[inner < 128] = edge.astype(np.uint8)
    weight = cv2.merge([coverage] * 3).astype(np.float32) * np.float32(1 / 255)
    target[:] = np.rint(target + (fill.astype(np.float32) - target) * weight).astype(np.uint8)


def _contrasting(rng: np.random.Generator, against: Sequence[float]) -> NDArray[np.float64]:
    while True:
        colour = rng.uniform(0, 255, 3)
        if np.linalg.norm(colour - against) >= _MIN_CONTRAST:
            return colour


def _expose(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    gain = rng.uniform(0.85, 1.15)
    offset = rng.uniform(-12, 12)
    sigma = rng.uniform(0, 8)
    if offset >= 0:
        exposed = cv2.convertScaleAbs(image, alpha=gain, beta=offset)
    else:
        # convertScaleAbs would turn what falls below black back into light.
        exposed = cv2.subtract(cv2.convertScaleAbs(image, alpha=gain), np.full(4, -offset))
    table = np.rint(sigma * _NOISE_QUANTILES).astype(np.int8)
    noise = table[np.frombuffer(rng.bytes(image.size), np.uint8)].reshape(image.shape)
    return np.asarray(cv2.add(exposed, noise, dtype=cv2.CV_8U), np.uint8)
