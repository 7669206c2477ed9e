"""LoadGen's query sample library: what of the data set is in memory, ready to be issued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tailrace.machine.cgroup import cores
from tailrace.mlperf.system import Payload, Sample
from tailrace.models.headers import read_header
from tailrace.models.zoo.spec import Format


class SampleLibrary:
    """The samples of a data set, those that LoadGen has asked for in memory.

    Args:
        total: samples of the data set.
        read: the bytes of the picture with this index.
        form: of the model; how pictures become its tensors.
    """

    def __init__(
        self, total: int, read: Callable[[int], bytes], form: Format, payload: Payload
    ) -> None:
        self.total = total
        self._read = read
        self._form = form
        self._payload = payload
        self._loaded: dict[int, Sample] = {}

    def __getitem__(self, index: int) -> Sample:
        """A sample that is loaded."""
        return self._loaded[index]

    def load(self, indices: Sequence[int]) -> None:
        """Brings samples into memory.

        Raises:
            TailraceError: one cannot be read, or is no picture.
        """
        missing = [index for index in dict.fromkeys(indices) if index not in self._loaded]
        with ThreadPoolExecutor(cores()) as pool:
            self._loaded.update(zip(missing, pool.map(self._make, missing), strict=True))

    def unload(self, indices: Sequence[int]) -> None:
        """Forgets samples."""
        for index in indices:
            self._loaded.pop(index, None)

    def _make(self, index: int) -> Sample:
        data = self._read(index)
        if self._payload == "picture":
            header = read_header(data)
            # The null model takes what is no picture.
            width_px, height_px = (header.width_px, header.height_px) if header else (1, 1)
            return Sample(index, width_px, height_px, data)
        image = self._form.decode(data)
        height_px, width_px = image.shape[:2]
        return Sample(index, width_px, height_px, self._form.preprocess(image))
