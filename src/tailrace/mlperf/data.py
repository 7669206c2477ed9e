"""What a test draws its samples from: a data set, in the order MLPerf's accuracy scripts rely on.

A sample's index is the picture's place in COCO's or OpenImages's annotation file, or in ImageNet's
`val_map.txt`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tailrace.datasets import files, imagenet, openimages, shapes
from tailrace.datasets.coco import CocoDataset, CocoImage
from tailrace.download.cache import cache_dir
from tailrace.download.part import claimed, unwritable
from tailrace.errors import TailraceError, UsageError
from tailrace.models.zoo import null, retinanet
from tailrace.models.zoo import shapes as shapes_model
from tailrace.models.zoo.spec import ModelSpec

DEFAULT_COUNT = 256
"""Samples of a data set that is made up here."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """What a detector should see: the boxes of an annotation file in COCO's format."""

    annotation_file: Path
    images: tuple[CocoImage, ...]
    """By sample index."""
    categories: Mapping[int, str]
    """Names by category id."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a classifier should say: the number of each sample's class, from 0."""

    labels: tuple[int, ...]


Truth = Boxes | Labels


@dataclass(frozen=True, slots=True)
class TestData:
    """The samples of a test, and what is in them."""

    __test__ = False  # For pytest, which takes it for a test.

    name: str
    directory: Path | None
    """Where it lies; None for data that is no data set."""
    total: int
    """Samples."""
    read: Callable[[int], bytes]
    """The picture of this index, as its file has it; TailraceError if it cannot be read."""
    truth: Truth | None
    """None where pictures have no annotations."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a data set that MLPerf uses lies in its folder."""

    title: str
    """What it needs, as a message says it."""
    total: int
    """Pictures of MLPerf's whole set."""
    is_in: Callable[[Path], bool]
    read: Callable[[Path], tuple[Sequence[Path], Truth]]


def _boxes(dataset: CocoDataset) -> tuple[Sequence[Path], Truth]:
    truth = Boxes(dataset.annotation_file, dataset.images, dataset.categories)
    return [image.file for image in dataset.images], truth


def _labels(dataset: imagenet.ImagenetDataset) -> tuple[Sequence[Path], Truth]:
    truth = Labels(tuple(image.label for image in dataset.images))
    return [image.file for image in dataset.images], truth


COCO = Layout(
    "COCO's layout (annotations/instances_val2017.json beside val2017/)",
    5_000,
    files.is_coco,
    lambda directory: _boxes(CocoDataset.open(directory)),
)
IMAGENET = Layout(
    f"ImageNet's layout ({imagenet.MAP_FILE} beside the pictures)",
    50_000,
    files.is_imagenet,
    lambda directory: _labels(imagenet.ImagenetDataset.open(directory)),
)
OPENIMAGES = Layout(
    f"OpenImages's layout ({openimages.ANNOTATION_FILE} beside {openimages.IMAGE_DIRECTORY}/)",
    24_781,
    files.is_openimages,
    lambda directory: _boxes(openimages.open_openimages(directory)),
)


def layout_of(spec: ModelSpec) -> Layout | None:
    """The layout a model's data set must have for its accuracy; None if it has no accuracy."""
    if spec.name == null.SPEC.name:
        return None
    if spec.task == "classification":
        return IMAGENET
    return OPENIMAGES if spec.name == retinanet.SPEC.name else COCO


def open_data(
    spec: ModelSpec,
    directory: Path | None,
    count: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TestData:
    """The data set in `directory`, or its first `count` pictures.

    It has the layout that `layout_of` names, or is a folder of plain pictures, sorted by path,
    without truth. None: for `shapes`, held-out scenes, drawn into the cache once; for `null`, no
    pictures. `say` is told what takes a while, and what is not as asked for.

    Raises:
        UsageError: the model needs a directory, or one of another layout; a list in it is broken,
            or a picture that it lists is missing.
        TailraceError: scenes cannot be written to the cache.
    """
    if count is not None and count < 1:
        raise UsageError(f"the number of samples is 1 or more, not {count}")
    if directory is None:
        if spec.name == null.SPEC.name:
            return TestData("null", None, count or DEFAULT_COUNT, _nothing, None)
        directory = _default(spec, count or DEFAULT_COUNT, say)
    if not directory.is_dir():
        raise UsageError(f"there is no folder {directory}")
    pictures, truth = _listed(spec, directory)
    if count is not None and count > len(pictures):
        say(f"{directory} has {len(pictures):,} pictures, not {count:,}")
    pictures = pictures[:count]
    return TestData(
        directory.resolve().name, directory, len(pictures), partial(_read, pictures), truth
    )


def truth_of(spec: ModelSpec, data: TestData) -> Truth:
    """What is in the samples, for an accuracy.

    Raises:
        UsageError: nobody knows, or the model has no accuracy.
    """
    if (layout := layout_of(spec)) is None:
        raise UsageError(f"{spec.name} has no accuracy")
    if data.truth is None:
        raise UsageError(
            f"{data.directory} has no annotations: the accuracy of {spec.name} needs {layout.title}"
        )
    return data.truth


def _default(spec: ModelSpec, count: int, say: Callable[[str], None]) -> Path:
    if spec.name != shapes_model.SPEC.name:
        needs = layout.title if (layout := layout_of(spec)) else "pictures"
        raise UsageError(f"{spec.name} needs a data set: name its folder with --dataset, {needs}")
    return _drawn(count, say)


def _listed(spec: ModelSpec, directory: Path) -> tuple[Sequence[Path], Truth | None]:
    if (wanted := layout_of(spec)) is not None:
        if wanted.is_in(directory):
            return wanted.read(directory)
        for other in (COCO, IMAGENET, OPENIMAGES):
            if other.is_in(directory):
                raise UsageError(
                    f"{directory} has {other.title}, but {spec.name} needs {wanted.title}"
                )
    return files.image_files(directory), None


def _read(pictures: Sequence[Path], index: int) -> bytes:
    file = pictures[index]
    try:
        return file.read_bytes()
    except OSError as error:
        raise TailraceError(f"cannot read {file}: {error.strerror or error}") from error


def _nothing(index: int) -> bytes:
    return b"null"


def _drawn(count: int, say: Callable[[str], None]) -> Path:
    """A folder of held-out scenes, which is there whole or not at all."""
    if count > len(shapes.HELD_OUT_SEEDS):
        raise UsageError(f"there are {len(shapes.HELD_OUT_SEEDS):,} held-out scenes, not {count:,}")
    to = cache_dir() / "datasets" / f"shapes-held-out-{count}"
    if _is_whole(to):
        return to
    try:
        with claimed(to):
            # Another process may have drawn it while this one waited.
            if not _is_whole(to):
                say(f"drawing {count:,} scenes into {to}")
                _draw(to, count)
    except OSError as error:
        raise unwritable(to, error) from error
    return to


def _is_whole(directory: Path) -> bool:
    try:
        CocoDataset.open(directory)
    except UsageError:
        return False
    return True


def _draw(to: Path, count: int) -> None:
    drawing = to.with_name(f"{to.name}.drawing")
    try:
        # What a killed process has left.
        shutil.rmtree(drawing, ignore_errors=True)
        shapes.generate(drawing, count, shapes.HELD_OUT_SEEDS.start)
        if to.exists():
            shutil.rmtree(to)
        drawing.rename(to)
    finally:
        shutil.rmtree(drawing, ignore_errors=True)
