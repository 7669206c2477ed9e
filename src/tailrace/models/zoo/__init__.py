"""The models Tailrace serves: one file each, with all that is known of it but its weights.

To add one: write its file, name it below, and give it a test.
"""

from __future__ import annotations

import difflib

from tailrace.errors import UsageError
from tailrace.models.zoo import (
    mobilenet,
    null,
    resnet50,
    retinanet,
    shapes,
    ssd_mobilenet,
    ssd_resnet34,
)
from tailrace.models.zoo.spec import ModelSpec

SPECS: tuple[ModelSpec, ...] = (
    shapes.SPEC,
    ssd_mobilenet.SPEC,
    ssd_resnet34.SPEC,
    resnet50.SPEC,
    mobilenet.SPEC,
    retinanet.SPEC,
    null.SPEC,
)


def names() -> tuple[str, ...]:
    """Names of all models, as the command line takes them."""
    return tuple(spec.name for spec in SPECS)


def find(name: str) -> ModelSpec:
    """The model of this name.

    Raises:
        UsageError: there is none; the message names those there are, and a near match.
    """
    for spec in SPECS:
        if spec.name == name:
            return spec
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"there is no model {name!r}: {hint}there are {', '.join(names())}")
