"""Parameters of inference requests: each is honoured or refused, as none is without a meaning.

Known are those of the Open Inference Protocol's binary tensor extension and of Triton's extensions
for classification, schedule policy, sequences and shared memory, and MLServer's content type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_NO_SEQUENCES = "there are no sequences of requests here"
_NO_SHARED_MEMORY = "no memory is shared with clients here"
_REFUSED: Mapping[str, tuple[str, Sequence[Any]]] = {
    "content_type": ("elements are taken as their datatype says", ("np",)),
    "priority": ("all requests are of one priority here", (0,)),
    "sequence_id": (_NO_SEQUENCES, (0, "")),
    "sequence_start": (_NO_SEQUENCES, (False,)),
    "sequence_end": (_NO_SEQUENCES, (False,)),
    "shared_memory_region": (_NO_SHARED_MEMORY, ()),
    "shared_memory_offset": (_NO_SHARED_MEMORY, ()),
    "shared_memory_byte_size": (_NO_SHARED_MEMORY, ()),
}
"""Parameters that cannot be honoured: why, and with which values they mean nothing."""


class _Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is None or name not in _REFUSED:
                continue
            why, neutral = _REFUSED[name]
            if value not in neutral:
                raise ValueError(f"{name} cannot be honoured: {why}")


class RequestParameters(_Parameters, frozen=True, forbid_unknown_fields=True):
    """Of a request."""

    binary_data_output: bool | None = None
    """Whether outputs are binary that do not say themselves."""
    timeout: _Count | None = None
    """Microseconds after which the answer is no longer wanted; 0 is never."""
    content_type: str | None = None
    priority: int | None = None
    sequence_id: int | str | None = None
    sequence_start: bool | None = None
    sequence_end: bool | None = None


class InputParameters(_Parameters, frozen=True, forbid_unknown_fields=True):
    """Of an input tensor."""

    binary_data_size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Bytes of it after the JSON."""
    content_type: str | None = None
    shared_memory_region: str | None = None
    shared_memory_offset: int | None = None
    shared_memory_byte_size: int | None = None


class OutputParameters(_Parameters, frozen=True, forbid_unknown_fields=True):
    """Of an output tensor that is asked for."""

    binary_data: bool | None = None
    """Whether it is to be binary."""
    classification: _Count | None = None
    """How many of the highest elements of a row are to be told, in place of all; 0 is all."""
    shared_memory_region: str | None = None
    shared_memory_offset: int | None = None
    shared_memory_byte_size: int | None = None
