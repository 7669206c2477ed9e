"""A loaded model: the four steps from the bytes of a picture to what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.models import images, outputs
from tailrace.models.runtimes import Runtime, TensorInfo
from tailrace.models.runtimes.onnx import OnnxRuntime
from tailrace.models.zoo import ModelSpec


class Model:
    """A model's description and the runtime that computes it. Threads may share it."""

    def __init__(self, spec: ModelSpec, runtime: Runtime) -> None:
        """Puts `spec` and `runtime` together.

        Raises:
            UsageError: the runtime's tensors are not those of `spec`.
        """
        self.spec = spec
        self.runtime = runtime
        _require(spec, "input", (spec.tensors.image,), runtime.inputs)
        _require(spec, "output", spec.tensors.outputs, runtime.outputs)
        (image,) = (tensor for tensor in runtime.inputs if tensor.name == spec.tensors.image)
        wanted = (1, spec.size_px, spec.size_px, 3)
        fits = len(image.shape) == len(wanted) and all(
            size in (-1, want) for size, want in zip(image.shape, wanted, strict=True)
        )
        if image.datatype != "UINT8" or not fits:
            raise UsageError(
                f"the file is not {spec.name}: its input {image.name} is {image.datatype} "
                f"{list(image.shape)}, not UINT8 {list(wanted)}"
            )

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """See `tailrace.models.images.decode`."""
        return images.decode(data)

    def preprocess(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The model's input, uint8 [1, height, width, 3], from a picture, BGR."""
        return images.resize_to_uint8(image, self.spec.size_px)

    def infer(self, tensor: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """The output tensors, in the order of `spec.tensors.outputs`.

        Raises:
            RuntimeFailedError: computing failed.
        """
        return self.runtime.run({self.spec.tensors.image: tensor}, self.spec.tensors.outputs)

    def postprocess(
        self, tensors: list[NDArray[Any]], width_px: int, height_px: int
    ) -> outputs.Detections:
        """What is in a picture of this size, from its output tensors."""
        return outputs.detections(tensors, width_px, height_px)

    def warm_up(self) -> None:
        """Computes a blank picture, so that the first request finds memory allocated."""
        blank = np.zeros((self.spec.size_px, self.spec.size_px, 3), np.uint8)
        self.infer(self.preprocess(blank))


def load(spec: ModelSpec, file: Path, threads: int) -> Model:
    """Loads a model from its file; each call computes on `threads` threads.

    Raises:
        UsageError: the file is not ONNX, or not this model.
    """
    return Model(spec, OnnxRuntime(file, threads))


def _require(
    spec: ModelSpec, kind: str, wanted: tuple[str, ...], found: tuple[TensorInfo, ...]
) -> None:
    there = {tensor.name for tensor in found}
    missing = [name for name in wanted if name not in there]
    if missing:
        raise UsageError(
            f"the file is not {spec.name}: it lacks the {kind} {', '.join(missing)} "
            f"(it has {', '.join(sorted(there))})"
        )
