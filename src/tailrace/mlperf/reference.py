"""The names that MLPerf's reference implementation, its main.py, has for what we call otherwise."""

from __future__ import annotations

from tailrace.errors import UsageError
from tailrace.models import zoo

RUNTIMES = {
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "tf": "tensorflow",
    "tensorflow": "tensorflow",
}
"""Our runtimes by the reference's backends, ours included."""


def runtime_of(backend: str) -> str:
    """Our name of a runtime, or of the reference's backend.

    Raises:
        UsageError: it is not here.
    """
    try:
        return RUNTIMES[backend.lower()]
    except KeyError:
        raise UsageError(
            f"there is no backend {backend!r} here: there are onnxruntime and tensorflow"
        ) from None


def parse_profile(profile: str) -> tuple[str, str]:
    """(model, runtime) of a profile of main.py: `ssd-mobilenet-onnx`, `resnet50-tf`.

    Raises:
        UsageError: it is none of the models or backends that are here.
    """
    for backend in sorted(RUNTIMES, key=len, reverse=True):
        if profile.endswith(f"-{backend}"):
            return zoo.find(profile.removesuffix(f"-{backend}")).name, RUNTIMES[backend]
    # Without a backend it may be a model, or say one that is not here.
    model, dash, backend = profile.rpartition("-")
    if dash and model in zoo.names():
        runtime_of(backend)
    return zoo.find(profile).name, "onnx"
