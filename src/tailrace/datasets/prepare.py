"""Data sets with all their pictures at one size, so that a service need not resize them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import msgspec
import numpy as np

from tailrace.datasets.plan import Picture, Size, plan
from tailrace.download.part import unwritable, write_whole
from tailrace.errors import UsageError
from tailrace.machine.cgroup import cores

ImageFormat = Literal["jpg", "png"]

MAX_SIDE_PX = 65_500
"""The longest side a JPEG may have."""

RECORD_FILE = "prepared.json"
"""Says in a prepared folder what it was made of."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` did: pictures resized now, pictures that were there already, and those left
    out, with what is wrong with them by name.
    """

    resized: int
    kept: int
    broken: Mapping[str, str]


def prepare(
    source: Path,
    out: Path,
    size_px: Size,
    image_format: ImageFormat,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Resizes every picture of a data set to `size_px`, as MLPerf's upscale_coco does.

    `source` has COCO's layout, whose annotations are carried over with boxes, segmentations and
    areas scaled along each axis, or ImageNet's. File names get the suffix of `image_format`.
    Pictures are resized by `workers` threads (one a core if None; OpenCV lets them run at once),
    with INTER_LINEAR, an EXIF orientation ignored. Each appears whole, and those that an earlier
    call has left in `out` are kept unless their source is newer. The annotations appear last and
    list the pictures that are there. `progress` is told the pictures done, and in all.

    Raises:
        UsageError: `source` cannot be used, or `out` holds something else.
        TailraceError: `out` cannot be written.
    """
    if not all(1 <= side_px <= MAX_SIDE_PX for side_px in size_px):
        raise UsageError(f"the sides of a picture are 1 to {MAX_SIDE_PX:,} px")
    planned = plan(source, f".{image_format}")
    total = len(planned.pictures)

    def work(picture: Picture) -> str | None:
        return _resize(picture, out / picture.result, size_px)

    broken = {}
    try:
        _claim(out, source, size_px, image_format)
        todo = [picture for picture in planned.pictures if not _is_done(picture, out)]
        kept = total - len(todo)
        progress(kept, total)
        with ThreadPoolExecutor(workers or cores()) as pool:
            # On any exception, Ctrl-C included, map cancels what has not begun.
            for place, fault in enumerate(pool.map(work, todo)):
                if fault is not None:
                    broken[todo[place].name] = fault
                progress(kept + place + 1, total)
        write_whole(out / planned.listing, planned.contents(size_px, broken))
    except OSError as error:
        raise unwritable(out, error) from error
    return Prepared(len(todo) - len(broken), kept, broken)


def _claim(out: Path, source: Path, size_px: Size, image_format: ImageFormat) -> None:
    """Notes in `out` what it will be made of, or checks that it is what it was."""
    record = msgspec.json.encode(
        {"source": str(source.resolve()), "size_px": size_px, "format": image_format}
    )
    file = out / RECORD_FILE
    if not file.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"{out} is not empty: name another directory")
        write_whole(file, record)
    elif file.read_bytes() != record:
        raise UsageError(
            f"{out} has pictures from elsewhere, of another size or format (see {RECORD_FILE} "
            "there): name another directory"
        )


def _is_done(picture: Picture, out: Path) -> bool:
    try:
        return (out / picture.result).stat().st_mtime_ns >= picture.file.stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _resize(picture: Picture, to: Path, size_px: Size) -> str | None:
    """What is wrong with the picture; None if it has been resized."""
    try:
        data = picture.file.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not data:
        return "is empty"
    if _is_truncated(data):
        return "is truncated: its end is missing"
    try:
        image = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        return f"cannot be decoded: {error.err}"
    if image is None:
        return "cannot be decoded: no picture, or a broken one"
    height, width = image.shape[:2]
    if picture.size_px not in (None, (width, height)):
        return f"has {width} x {height} pixels, which is not what its annotation says"
    resized = cv2.resize(image, size_px, interpolation=cv2.INTER_LINEAR)
    _, encoded = cv2.imencode(to.suffix, resized)
    write_whole(to, encoded.tobytes())
    return None


def _is_truncated(data: bytes) -> bool:
    # OpenCV would fill what is missing with grey. Within a JPEG's scan FF is followed by 00 or a
    # marker, so an end of image behind the start of the last scan is the picture's own.
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")
    return data.startswith(b"\x89PNG") and b"IEND\xaeB`\x82" not in data
