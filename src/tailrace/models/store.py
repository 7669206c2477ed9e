"""Where the models' files lie."""

from importlib import resources
from pathlib import Path

from tailrace.errors import TailraceError, UsageError
from tailrace.models.zoo import ModelSpec


def model_file(spec: ModelSpec, given: Path | None = None) -> Path:
    """The file to serve `spec` from: `given` by the user, else the one inside this package.

    Raises:
        UsageError: `given` is no file, or none was given for a model that is not embedded.
        TailraceError: the embedded file is missing from this installation.
    """
    if given is not None:
        if not given.is_file():
            raise UsageError(f"there is no model file {given}")
        return given
    if spec.embedded is None:
        raise UsageError(f"{spec.name} needs its file: add --model-path FILE.onnx")
    # The wheel is installed unpacked, so a resource is a plain file.
    file = Path(str(resources.files("tailrace.models").joinpath("embedded", spec.embedded)))
    if not file.is_file():
        raise TailraceError(f"this installation lacks {file}: install tailrace again")
    return file
