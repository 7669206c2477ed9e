"""What a model is, apart from its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.models import images
from tailrace.models.outputs import Classes, Detections
from tailrace.models.runtimes import TensorInfo

Task = Literal["detection", "classification"]
RuntimeName = Literal["onnx", "tensorflow", "null"]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """Where a file can be fetched."""

    url: str
    md5: str | None = None
    """Hex; None where its publisher gives none."""
    member: str | None = None
    """The file within the archive at `url`; None if `url` is the file itself."""

    @property
    def name(self) -> str:
        """Name of the file, once fetched."""
        return (self.member or self.url).rpartition("/")[2]


class Decode(Protocol):
    """From the bytes of a picture and the most pixels it may have; see `images.decode`."""

    def __call__(self, data: bytes, max_pixels: int = ..., /) -> NDArray[np.uint8]:
        """The picture, uint8 [height, width, 3], BGR."""


@dataclass(frozen=True, slots=True)
class Format:
    """One published form of a model: its tensors, and how pictures and answers map to them."""

    runtime: RuntimeName
    input: TensorInfo
    """Its first size is -1 where the batch is free."""
    outputs: tuple[str, ...]
    """Names of the output tensors, in the order in which `postprocess` takes them."""
    preprocess: Callable[[NDArray[np.uint8]], NDArray[Any]]
    """From a picture, uint8 [height, width, 3] BGR, to the input tensor of a batch of one."""
    postprocess: Callable[[Sequence[NDArray[Any]], int, int], Detections | Classes]
    """From the output tensors of one picture, and its width and height in pixels, to the answer."""
    decode: Decode = images.decode
    origin: str = ""
    """The framework it was trained in, where a model was published from several."""
    file: RemoteFile | None = None
    twin: Callable[[Path], None] | None = None
    """Writes a file of the same architecture and tensors with random weights."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What a result in MLPerf's closed division must reach."""

    metric: Literal["mAP", "top-1"]
    dataset: str
    reference: float
    """Of the reference implementation, 0..1."""
    fraction: float
    """Share of the reference that must be reached."""

    @property
    def target(self) -> float:
        """The lowest value that passes, 0..1."""
        return self.reference * self.fraction


@dataclass(frozen=True, slots=True)
class Cost:
    """What one picture costs, and the weights."""

    parameters: float
    flop: float
    """Floating-point operations a picture; a multiply-add is two."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model, apart from its weights."""

    name: str
    title: str
    task: Task
    formats: tuple[Format, ...]
    """The first one of a runtime is the one that is fetched for it."""
    labels: Mapping[int, str] = field(default_factory=dict)
    """Names by class number; a class without one goes by its number."""
    accuracy: Accuracy | None = None
    server_latency_ms: Mapping[str, float] = field(default_factory=dict)
    """MLPerf's bound on the p99 of the Server scenario, by the versions that had it."""
    cost: Cost | None = None
    embedded: str | None = None
    """File name within `tailrace.models.embedded`, for a model that comes with this package."""

    @property
    def needs_file(self) -> bool:
        """Whether someone has to bring or fetch a file before it can be served."""
        return self.embedded is None and any(each.runtime != "null" for each in self.formats)

    @property
    def twin(self) -> Format | None:
        """The format a twin can be built of, if there is one."""
        return next((each for each in self.formats if each.twin is not None), None)

    def formats_for(self, runtime: str) -> tuple[Format, ...]:
        """Those that `runtime` computes; what needs no computing is for any.

        Raises:
            UsageError: there are none.
        """
        found = tuple(each for each in self.formats if each.runtime in (runtime, "null"))
        if not found:
            others = sorted({each.runtime for each in self.formats})
            raise UsageError(
                f"{self.name} has no form for --runtime {runtime}: it has {', '.join(others)}"
            )
        return found
