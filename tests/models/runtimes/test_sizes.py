"""Batches of any size in sessions of few sizes."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from tailrace.models import store
from tailrace.models.runtimes.sizes import SessionsBySize


class Noting:
    """A session of the embedded model that notes the sizes it is given."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(FILE), options)
        self.sizes: set[int] = set()
        made.append(self)

    def run(self, outputs: list[str], inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.sizes |= {len(tensor) for tensor in inputs.values()}
        found: list[NDArray[Any]] = self._session.run(outputs, inputs)
        return found


FILE = store.embedded_file("shapes.onnx")
made: list[Noting] = []


@pytest.fixture
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (9, 300, 300, 3), np.uint8)


@pytest.fixture
def names() -> tuple[str, list[str]]:
    session = onnxruntime.InferenceSession(str(FILE))
    return session.get_inputs()[0].name, [node.name for node in session.get_outputs()]


def test_answers_are_those_of_one_session(
    pictures: NDArray[np.uint8], names: tuple[str, list[str]]
) -> None:
    made.clear()
    image, outputs = names
    sessions = SessionsBySize(Noting(), Noting)
    exact = onnxruntime.InferenceSession(str(FILE))
    for rows in (1, 3, 9, 4, 2, 5, 1):
        given = {image: pictures[:rows]}
        for ours, theirs in zip(
            sessions.run(outputs, given), exact.run(outputs, given), strict=True
        ):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    # None ever sees another shape than at first.
    assert sorted(next(iter(each.sizes)) for each in made) == [1, 2, 4, 8, 16]
    assert all(len(each.sizes) == 1 for each in made)


def test_threads_share_one_session_of_a_size(
    pictures: NDArray[np.uint8], names: tuple[str, list[str]]
) -> None:
    made.clear()
    image, outputs = names
    sessions = SessionsBySize(Noting(), Noting)
    threads = [
        threading.Thread(target=sessions.run, args=(outputs, {image: pictures[:3]}))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [each.sizes for each in made] == [set(), {4}]
