"""What of the data set is in memory."""

import cv2
import numpy as np
import pytest

from tailrace.mlperf.samples import SampleLibrary
from tailrace.models import zoo
from tailrace.models.images import ImageError

FORM = zoo.find("shapes").formats[0]


class Folder:
    """Pictures of growing widths; notes what is read."""

    def __init__(self) -> None:
        self.reads: list[int] = []

    def read(self, index: int) -> bytes:
        self.reads.append(index)
        if index == 9:
            return b"broken"
        return cv2.imencode(".png", np.full((20, 40 + index, 3), index, np.uint8))[1].tobytes()


def test_pictures_stay_as_they_are() -> None:
    folder = Folder()
    library = SampleLibrary(10, folder.read, FORM, "picture")
    library.load([3, 5])
    library.load([5, 3])
    assert sorted(folder.reads) == [3, 5]
    sample = library[5]
    assert (sample.index, sample.width_px, sample.height_px) == (5, 45, 20)
    assert sample.content == folder.read(5)


def test_tensors_are_preprocessed() -> None:
    library = SampleLibrary(10, Folder().read, FORM, "tensor")
    library.load([4])
    sample = library[4]
    assert (sample.width_px, sample.height_px) == (44, 20)
    assert isinstance(sample.content, np.ndarray)
    assert sample.content.shape == (1, 300, 300, 3)
    assert (sample.content == 4).all()


def test_what_is_unloaded_is_gone() -> None:
    folder = Folder()
    library = SampleLibrary(10, folder.read, FORM, "picture")
    library.load([1, 2])
    library.unload([1])
    with pytest.raises(KeyError):
        library[1]
    assert library[2].index == 2
    library.load([1])
    assert sorted(folder.reads) == [1, 1, 2]


def test_a_broken_picture() -> None:
    with pytest.raises(ImageError):
        SampleLibrary(10, Folder().read, FORM, "tensor").load([9])
