"""The pictures that are sent: scenes of the embedded model's kind, or those of a folder."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tailrace.datasets import shapes

_COUNT = 32


@contextlib.contextmanager
def pictures(given: Path | None = None) -> Iterator[Path]:
    """A folder of pictures alone: `given`, or drawn ones, 300x300 JPEG."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="tailrace-bench-") as directory:
        shapes.generate(Path(directory), _COUNT, shapes.HELD_OUT_SEEDS.start)
        yield Path(directory) / shapes.IMAGE_DIRECTORY
