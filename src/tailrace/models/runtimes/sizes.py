"""Batches of few sizes, for a card that prepares itself for each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]


class Session(Protocol):
    """What of an ONNX Runtime session is used."""

    def run(self, outputs: list[str], inputs: Tensors) -> list[NDArray[Any]]:
        """Computes `outputs`, in this order."""


class SessionsBySize:
    """Sessions of one model, each of which computes batches of one size alone: a power of two.

    For a shape that a session did not see last, ONNX Runtime on an NVIDIA card makes cuDNN plan
    each convolution anew, even if it saw the shape before: more than a second, on an H200, for a
    batch of 8 that then takes 11 ms (docs/decisions/0006-batches-on-a-card.md). A batch between
    two sizes is filled up. All may be called by any thread.
    """

    def __init__(self, first: Session, make: Callable[[], Session]) -> None:
        """`first` and each that `make` makes compute the same model."""
        self._sessions = {1: first}
        self._make = make
        self._making = threading.Lock()

    def run(self, outputs: list[str], inputs: Tensors) -> list[NDArray[Any]]:
        """As a session's; of all tensors the first dimension is the batch's, as many rows in each.

        Raises:
            Exception: what the session raises, or making one for this size.
        """
        rows = len(next(iter(inputs.values())))
        size = 1 << max(0, rows - 1).bit_length()
        filled = {name: _fill(tensor, size - rows) for name, tensor in inputs.items()}
        return [tensor[:rows] for tensor in self._of(size).run(outputs, filled)]

    def _of(self, size: int) -> Session:
        with self._making:
            if size not in self._sessions:
                self._sessions[size] = self._make()
            return self._sessions[size]


def _fill(tensor: NDArray[Any], rows: int) -> NDArray[Any]:
    return np.concatenate([tensor, np.repeat(tensor[-1:], rows, axis=0)]) if rows else tensor
