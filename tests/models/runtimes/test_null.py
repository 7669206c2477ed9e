"""The runtime that computes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tailrace.models.runtimes import Runtime, RuntimeFailedError, TensorInfo
from tailrace.models.runtimes.null import NullRuntime

NULL: Runtime = NullRuntime()


def test_describes_itself() -> None:
    assert NULL.platform == "tailrace_null"
    assert NULL.device == "cpu"
    assert NULL.inputs == (TensorInfo("input", "UINT8", (-1, -1)),)
    assert NULL.outputs == (TensorInfo("output", "UINT8", (-1, -1)),)


def test_gives_back_the_very_array() -> None:
    tensor = np.arange(12, dtype=np.uint8).reshape(3, 4)
    (output,) = NULL.run({"input": tensor}, ["output"])
    assert output is tensor
    assert NULL.run({"input": tensor}, []) == []


def test_refuses_what_it_does_not_take_or_give() -> None:
    tensor = np.zeros((1, 1), np.uint8)
    with pytest.raises(RuntimeFailedError, match="takes input, not other"):
        NULL.run({"other": tensor}, ["output"])
    with pytest.raises(RuntimeFailedError, match=r"not UINT8 \[1\]"):
        NULL.run({"input": tensor[0]}, ["output"])
    with pytest.raises(RuntimeFailedError, match="gives output alone"):
        NULL.run({"input": tensor}, ["output", "scores"])
