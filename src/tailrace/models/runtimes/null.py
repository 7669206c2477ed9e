"""No computation: what a service costs without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from tailrace.models.runtimes import RuntimeFailedError, TensorInfo
from tailrace.models.runtimes.datatypes import check_inputs

_INPUT = TensorInfo("input", "UINT8", (-1, -1))
_OUTPUT = TensorInfo("output", "UINT8", (-1, -1))


class NullRuntime:
    """Gives back the very array it is given."""

    @property
    def platform(self) -> str:
        """See Runtime."""
        return "tailrace_null"

    @property
    def device(self) -> str:
        """See Runtime."""
        return "cpu"

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """See Runtime."""
        return (_INPUT,)

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """See Runtime."""
        return (_OUTPUT,)

    def run(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """See Runtime."""
        check_inputs(inputs, self.inputs)
        if any(name != _OUTPUT.name for name in outputs):
            raise RuntimeFailedError(f"the null model gives {_OUTPUT.name} alone")
        return [inputs[_INPUT.name]] * len(outputs)
