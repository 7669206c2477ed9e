"""Batches of any size in sessions of few sizes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.models import store
from tailrace.models.runtimes import RuntimeFailedError
from tailrace.models.runtimes.onnx import OnnxRuntime
from tailrace.models.runtimes.sizes import SessionsBySize

FILE = store.embedded_file("shapes.onnx")


class Noting:
    """A session of the embedded model that notes the sizes it is given, itself in `made`."""

    def __init__(self, made: list[Noting]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(FILE), options)
        self.sizes: set[int] = set()
        made.append(self)

    def run(self, outputs: list[str], inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        self.sizes |= {len(tensor) for tensor in inputs.values()}
        found: list[NDArray[Any]] = self._session.run(outputs, inputs)
        return found


@pytest.fixture
def made() -> list[Noting]:
    """All sessions, in the order in which they were made."""
    return []


@pytest.fixture
def sessions(made: list[Noting]) -> SessionsBySize:
    return SessionsBySize(Noting(made), partial(Noting, made))


@pytest.fixture
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (9, 300, 300, 3), np.uint8)


@pytest.fixture
def names() -> tuple[str, list[str]]:
    session = onnxruntime.InferenceSession(str(FILE))
    return session.get_inputs()[0].name, [node.name for node in session.get_outputs()]


def test_answers_are_those_of_one_session(
    sessions: SessionsBySize,
    made: list[Noting],
    pictures: NDArray[np.uint8],
    names: tuple[str, list[str]],
) -> None:
    image, outputs = names
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
    sessions: SessionsBySize,
    made: list[Noting],
    pictures: NDArray[np.uint8],
    names: tuple[str, list[str]],
) -> None:
    image, outputs = names
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: sessions.run(outputs, {image: pictures[:3]}), range(4)))
    assert [each.sizes for each in made] == [set(), {4}]


def test_a_size_that_cannot_be_had_fails_its_batches_alone(
    made: list[Noting], pictures: NDArray[np.uint8]
) -> None:
    def make() -> Noting:
        raise UsageError("no memory on the card")

    runtime = OnnxRuntime(FILE, 1)
    runtime._run = SessionsBySize(Noting(made), make).run
    (image,) = (tensor.name for tensor in runtime.inputs)
    outputs = [tensor.name for tensor in runtime.outputs]
    with pytest.raises(RuntimeFailedError, match="no memory on the card"):
        runtime.run({image: pictures[:2]}, outputs)
    assert len(runtime.run({image: pictures[:1]}, outputs)[0]) == 1
