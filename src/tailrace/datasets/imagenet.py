"""Reader of the layout MLPerf keeps ImageNet in: pictures beside a `val_map.txt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tailrace.errors import UsageError

MAP_FILE = "val_map.txt"


@dataclass(frozen=True, slots=True)
class ImagenetImage:
    """One picture: its name in the map, its file, and the number of its class."""

    name: str
    file: Path
    label: int


@dataclass(frozen=True, slots=True)
class ImagenetDataset:
    """The pictures of one `val_map.txt`, in its order."""

    map_file: Path
    images: tuple[ImagenetImage, ...]

    @classmethod
    def open(cls, directory: Path) -> ImagenetDataset:
        """Reads `val_map.txt`, whose lines are `ILSVRC2012_val_00000001.JPEG 65`.

        Pictures are named relative to `directory`; labels count from 0.

        Raises:
            UsageError: no such file, a line that is not of this form, or a picture is missing.
        """
        map_file = directory / MAP_FILE
        try:
            lines = map_file.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UsageError(f"{map_file} is not text") from error
        except OSError as error:
            raise UsageError(f"cannot read {map_file}: {error.strerror}") from error
        images = tuple(
            _image(directory, line, f"{map_file}, line {number}")
            for number, line in enumerate(lines, start=1)
            if line.strip()
        )
        if not images:
            raise UsageError(f"{map_file} lists no images")
        missing = [image.name for image in images if not image.file.is_file()]
        if missing:
            raise UsageError(
                f"{directory} lacks {len(missing)} of the {len(images)} images that "
                f"{MAP_FILE} lists, {missing[0]} for one"
            )
        return cls(map_file, images)


def _image(directory: Path, line: str, where: str) -> ImagenetImage:
    name, _, label = line.strip().rpartition(" ")
    name = name.strip()
    if not name or not (label.isascii() and label.isdigit()):
        raise UsageError(f"{where}: {line!r} is not a file name and the number of a class")
    return ImagenetImage(name, directory / name, int(label))
