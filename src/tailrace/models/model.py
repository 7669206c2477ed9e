"""A loaded model: the four steps from the bytes of a picture to what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.models.images import MAX_PIXELS
from tailrace.models.outputs import Classes, Detections
from tailrace.models.runtimes import Runtime, TensorInfo
from tailrace.models.zoo.spec import Format, ModelSpec

TWIN_NOTICE = "twin: answers are meaningless"
"""Said wherever results of a model with random weights are shown."""


class RuntimeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is computed."""

    runtime: str = "onnx"
    device: str = "cpu"
    """`cpu`, or for ONNX Runtime `cuda`, `cuda:N`, `tensorrt`, `tensorrt:N`."""
    threads: int = 1
    """Threads one inference is computed on."""
    spin: bool = False
    """Whether these threads burn their core while they wait for work."""
    max_pixels: int = MAX_PIXELS
    """Largest picture that is decoded for it."""


class Model:
    """A model's description and the runtime that computes it. Threads may share it."""

    def __init__(
        self,
        spec: ModelSpec,
        form: Format,
        runtime: Runtime,
        twin: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Puts them together; `twin` says that the weights are random, `max_pixels` how large a
        picture may be.

        Raises:
            UsageError: the runtime's tensors are not those of `form`.
        """
        self.spec = spec
        self.format = form
        self.runtime = runtime
        self.twin = twin
        self.max_pixels = max_pixels
        self.max_batch = _max_batch(spec, form, runtime)
        """Pictures one inference can take; None where any number."""

    @property
    def notice(self) -> str | None:
        """What must be said beside each of its answers."""
        return TWIN_NOTICE if self.twin else None

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """A picture, uint8 [height, width, 3], BGR; see `tailrace.models.images.decode`."""
        return self.format.decode(data, self.max_pixels)

    def preprocess(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        """The input tensor, a batch of one, from a picture.

        Raises:
            ImageTooLargeError: it would be too large on its way there.
        """
        return self.format.preprocess(image)

    def infer(self, tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """The output tensors for a batch, in the order of `format.outputs`.

        Raises:
            RuntimeFailedError: computing failed.
        """
        return self.runtime.run({self.format.input.name: tensor}, self.format.outputs)

    def postprocess(
        self, tensors: Sequence[NDArray[Any]], width_px: int, height_px: int
    ) -> Detections | Classes:
        """What is in a picture of this size, from the output tensors of a batch of one."""
        return self.format.postprocess(tensors, width_px, height_px)

    def warm_up(self, batch: int = 1) -> None:
        """Computes a batch of blank pictures, so that requests find memory allocated.

        Raises:
            RuntimeFailedError: computing failed.
        """
        blank = self.preprocess(np.zeros((300, 300, 3), np.uint8))
        self.infer(np.repeat(blank, batch, axis=0))


def load(spec: ModelSpec, file: Path | None, options: RuntimeOptions, twin: bool = False) -> Model:
    """Loads a model; `file` is None for one that has none.

    Which of its formats the file is shows in the names of its tensors.

    Raises:
        UsageError: the file is not this model, or the runtime is not for it, or not installed.
    """
    formats = spec.formats_for(options.runtime)
    if file is None:
        from tailrace.models.runtimes.null import NullRuntime

        return Model(spec, formats[0], NullRuntime(), max_pixels=options.max_pixels)
    if options.runtime == "tensorflow":
        # A frozen graph does not say which of its tensors are the outputs.
        form = formats[0]
        return Model(spec, form, _tensorflow(form, file, options), twin, options.max_pixels)
    from tailrace.models.runtimes.onnx import OnnxRuntime

    runtime = OnnxRuntime(file, options.threads, device=options.device, spin=options.spin)
    return Model(spec, _matching(spec, formats, runtime), runtime, twin, options.max_pixels)


def _tensorflow(form: Format, file: Path, options: RuntimeOptions) -> Runtime:
    from tailrace.models.runtimes.tensorflow import TensorflowRuntime

    return TensorflowRuntime(
        file, [form.input.name], form.outputs, options.threads, device=options.device
    )


def _matching(spec: ModelSpec, formats: Sequence[Format], runtime: Runtime) -> Format:
    for form in formats:
        if not _lacking(form, runtime):
            return form
    form = formats[0]
    raise UsageError(f"the file is not {spec.name}: it lacks {_lacking(form, runtime)}")


def _lacking(form: Format, runtime: Runtime) -> str:
    wanted: tuple[tuple[str, Sequence[str], Sequence[TensorInfo]], ...] = (
        ("input", (form.input.name,), runtime.inputs),
        ("output", form.outputs, runtime.outputs),
    )
    for kind, names, found in wanted:
        there = {tensor.name for tensor in found}
        missing = [name for name in names if name not in there]
        if missing:
            return f"the {kind} {', '.join(missing)} (it has {', '.join(sorted(there))})"
    return ""


def _max_batch(spec: ModelSpec, form: Format, runtime: Runtime) -> int | None:
    if lacking := _lacking(form, runtime):
        raise UsageError(f"the file is not {spec.name}: it lacks {lacking}")
    (found,) = (tensor for tensor in runtime.inputs if tensor.name == form.input.name)
    if found.datatype != form.input.datatype or not _fit(found.shape[1:], form.input.shape[1:]):
        raise UsageError(
            f"the file is not {spec.name}: its input {found.name} is {found.datatype} "
            f"{list(found.shape)}, not {form.input.datatype} {list(form.input.shape)}"
        )
    # A file may fix what the model's format leaves free, and the other way round.
    fixed = {found.shape[0], form.input.shape[0]} - {-1}
    return min(fixed) if fixed else None


def _fit(found: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(found) == len(wanted) and all(
        -1 in pair or pair[0] == pair[1] for pair in zip(found, wanted, strict=True)
    )
