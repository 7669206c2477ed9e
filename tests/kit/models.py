"""Models that are there at once, since they compute nothing."""

from dataclasses import replace
from typing import Any

from tailrace.models import zoo
from tailrace.models.model import Model
from tailrace.models.runtimes.null import NullRuntime


def null_model(name: str = "null", runtime: Any = None, max_batch: int = -1) -> Model:
    """The null model under another name, on a runtime of the test's own."""
    form = zoo.find("null").formats[0]
    form = replace(form, input=replace(form.input, shape=(max_batch, -1)))
    return Model(replace(zoo.find("null"), name=name), form, runtime or NullRuntime())
