"""Where the models' files lie: in this package, in the cache, or where the user says."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

from tailrace.download import Progress, cache_dir, download, extract, ignore
from tailrace.download.part import claimed, part_of, settle, unwritable, write_whole
from tailrace.errors import TailraceError, UsageError
from tailrace.models.zoo.spec import Format, ModelSpec, RemoteFile


def model_file(
    spec: ModelSpec,
    given: Path | None = None,
    *,
    runtime: str = "onnx",
    twin: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Path | None:
    """The file to serve `spec` from; None for a model that has none.

    That is `given` by the user, else the twin, built if need be, else the one inside this
    package, else the one fetched for `runtime`. `say` is told what takes a while.

    Raises:
        UsageError: `given` is no file, there is no twin, or nothing was given or fetched, or the
            model has no form for `runtime`.
        TailraceError: the embedded file is missing, or a twin cannot be written.
    """
    if given is not None:
        if not given.is_file():
            raise UsageError(f"there is no model file {given}")
        return given
    if twin:
        if spec.twin is not None and spec.twin.runtime != runtime:
            raise UsageError(f"the twin of {spec.name} is for --runtime {spec.twin.runtime}")
        return twin_file(spec, say)
    formats = spec.formats_for(runtime)
    if spec.embedded is not None:
        return embedded_file(spec.embedded)
    if not spec.needs_file:
        return None
    for form in formats:
        if form.file is not None and fetched_file(spec, form.file).is_file():
            return fetched_file(spec, form.file)
    choice = "" if runtime == "onnx" else f" --runtime {runtime}"
    cost = ", or --twin for its cost alone" if spec.twin is not None else ""
    raise UsageError(
        f"{spec.name} needs its file: tailrace models fetch {spec.name}{choice}, "
        f"or --model-path FILE{cost}"
    )


def embedded_file(name: str) -> Path:
    """A file that comes with this package.

    Raises:
        TailraceError: it is missing.
    """
    # The wheel is installed unpacked, so a resource is a plain file.
    file = Path(str(resources.files("tailrace.models").joinpath("embedded", name)))
    if not file.is_file():
        raise TailraceError(f"this installation lacks {file}: install tailrace again")
    return file


def fetched_file(spec: ModelSpec, remote: RemoteFile) -> Path:
    """Where a fetched file lies, or would."""
    return cache_dir() / "models" / spec.name / remote.name


def recorded_sha256(file: Path) -> str | None:
    """The sha256, in hex, noted when `file` was fetched."""
    try:
        return _record(file).read_text().split()[0]
    except (OSError, IndexError):
        return None


def fetch(spec: ModelSpec, form: Format, progress: Progress = ignore) -> Path:
    """Fetches the file of `form` into the cache, unless it is there; notes its sha256 in hex.

    What has come of it is kept and resumed by a later call. While another process fetches it this
    one waits, and `progress` follows the other.

    Raises:
        UsageError: `form` has no address to fetch it from.
        TailraceError: it cannot be fetched, or is not what it should be.
    """
    remote = form.file
    if remote is None:
        raise UsageError(f"{spec.name} has no file to fetch")
    file = fetched_file(spec, remote)
    if file.is_file() and recorded_sha256(file) is not None:
        return file
    source = file.with_name(remote.url.rpartition("/")[2])
    try:
        with _alone(file, lambda: progress(_size(part_of(source)), None)):
            # A download leaves alone what someone has put there by hand, if it is right.
            if remote.member is None or not file.is_file():
                download(remote.url, source, md5=remote.md5, progress=progress)
                if remote.member is not None:
                    extract(source, remote.member, file)
                    source.unlink()
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            write_whole(_record(file), f"{digest}  {file.name}\n".encode())
    except OSError as error:
        raise unwritable(file, error) from error
    return file


def twin_file(spec: ModelSpec, say: Callable[[str], None] = lambda _: None) -> Path:
    """The file of the model's twin, built now if this version of its builder has not yet.

    Raises:
        UsageError: the model has no twin.
        TailraceError: the file cannot be written.
    """
    form = spec.twin
    if form is None or form.twin is None:
        raise UsageError(f"{spec.name} has no twin: fetch its file, or name it with --model-path")
    file = twin_path(spec)
    if file.is_file():
        return file
    try:
        with claimed(file) as descriptor, contextlib.ExitStack() as undo:
            undo.callback(part_of(file).unlink)
            # Another process may have built it meanwhile.
            if not file.is_file():
                say(f"building the twin of {spec.name}, once ...")
                form.twin(part_of(file))
                undo.pop_all()
                settle(descriptor, file)
    except OSError as error:
        raise unwritable(file, error) from error
    return file


def twin_path(spec: ModelSpec) -> Path:
    """Where the file of the model's twin lies, or would."""
    # A twin is as good as what built it: other code, another file.
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).with_name("twins").glob("*.py")):
        digest.update(source.read_bytes())
    return cache_dir() / "twins" / f"{spec.name}-{digest.hexdigest()[:12]}.onnx"


@contextlib.contextmanager
def _alone(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    # Of all processes and threads, one at a time fetches `file`: an archive must not vanish
    # under another's hands.
    lock = file.with_name(f"{file.name}.fetch")
    with claimed(lock, lambda _: waiting()):
        try:
            yield
        finally:
            part_of(lock).unlink()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _record(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")
