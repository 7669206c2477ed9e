"""No model at all."""

from __future__ import annotations

import numpy as np

from tailrace.models import zoo
from tailrace.models.runtimes.null import NullRuntime

SPEC = zoo.find("null")


def test_it_fits_its_runtime() -> None:
    (form,) = SPEC.formats
    runtime = NullRuntime()
    assert runtime.inputs == (form.input,)
    assert tuple(tensor.name for tensor in runtime.outputs) == form.outputs


def test_pictures_are_not_looked_at() -> None:
    (form,) = SPEC.formats
    image = form.decode(b"")
    assert (image.dtype, image.shape) == (np.uint8, (1, 1, 3))
    assert form.preprocess(image).shape == (1, 1)


def test_it_costs_nothing() -> None:
    assert SPEC.cost is not None
    assert (SPEC.cost.parameters, SPEC.cost.flop) == (0, 0)
    assert not SPEC.needs_file
    assert SPEC.accuracy is None
    assert SPEC.server_latency_ms == {}
