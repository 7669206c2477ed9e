"""Runtimes: what computes a model's output tensors from its input tensors.

One module a runtime, each behind `Runtime`. They know tensors, neither pictures nor labels.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from tailrace.errors import TailraceError

# From 1.29 on ONNX Runtime sends Microsoft what it loads, from a thread of its own, unless this is
# set before it is imported (its Privacy.md).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class RuntimeFailedError(TailraceError):
    """The runtime refused or failed to compute."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor as the Open Inference Protocol describes it; -1 is a size that may vary."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Runtime(Protocol):
    """A loaded model. Threads may call `run` at the same time."""

    @property
    def platform(self) -> str:
        """Name of the platform in the Open Inference Protocol, such as `onnx_onnxv1`."""

    @property
    def device(self) -> str:
        """What it really computes on: `cpu`, or a card such as `cuda:0`."""

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """What the model takes."""

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """What the model gives."""

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """The named output tensors, in this order.

        Raises:
            RuntimeFailedError: an input does not fit, or computing failed.
        """
