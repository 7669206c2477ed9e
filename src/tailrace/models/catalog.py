"""All there is to tell of the models: what they are, what they cost, and what of them is here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from tailrace.models import store
from tailrace.models.runtimes import TensorInfo
from tailrace.models.zoo.spec import Format, ModelSpec

Availability = Literal["embedded", "fetched", "twin available", "needs file", "needs none"]


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The published file of a format, and what of it is in the cache."""

    url: str
    member: str | None
    """The file within the archive at `url`, if that is one."""
    md5: str | None
    """Of what is at `url`, in hex; None where its publisher gives none."""
    path: str
    """Where it lies, or would."""
    size_bytes: int | None
    """None as long as it was not fetched."""
    sha256: str | None
    """In hex, noted when it was fetched."""


class FormatEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One published form of a model."""

    runtime: str
    origin: str
    """The framework it was trained in; empty if there is none."""
    input: TensorInfo
    outputs: tuple[str, ...]
    file: FileEntry | None


class AccuracyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a result in MLPerf's closed division must reach, 0..1."""

    metric: str
    dataset: str
    reference: float
    target: float


class TwinEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The same architecture with random weights."""

    runtime: str
    origin: str
    """Of the format it is the twin of."""
    path: str
    """Where it lies, or would."""
    built: bool


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model."""

    name: str
    title: str
    task: str
    availability: Availability
    parameters: float | None
    """None where nobody has told."""
    flop: float | None
    """Floating-point operations a picture; a multiply-add is two."""
    accuracy: AccuracyEntry | None
    server_latency_ms: dict[str, float]
    """MLPerf's bound on the p99 of the Server scenario, by the versions that had it."""
    labels: int
    """Classes that have a name."""
    embedded: str | None
    """Its file, if it comes with this package."""
    twin: TwinEntry | None
    formats: tuple[FormatEntry, ...]


def describe(spec: ModelSpec) -> ModelEntry:
    """What is known of a model now.

    Raises:
        TailraceError: its embedded file is missing, or the cache has no place.
    """
    formats = tuple(_format(spec, each) for each in spec.formats)
    accuracy = spec.accuracy
    return ModelEntry(
        name=spec.name,
        title=spec.title,
        task=spec.task,
        availability=_availability(spec, formats),
        parameters=spec.cost.parameters if spec.cost else None,
        flop=spec.cost.flop if spec.cost else None,
        accuracy=AccuracyEntry(
            metric=accuracy.metric,
            dataset=accuracy.dataset,
            reference=accuracy.reference,
            target=accuracy.target,
        )
        if accuracy
        else None,
        server_latency_ms=dict(spec.server_latency_ms),
        labels=len(spec.labels),
        embedded=str(store.embedded_file(spec.embedded)) if spec.embedded else None,
        twin=_twin(spec),
        formats=formats,
    )


def _availability(spec: ModelSpec, formats: tuple[FormatEntry, ...]) -> Availability:
    if spec.embedded is not None:
        return "embedded"
    if not spec.needs_file:
        return "needs none"
    if any(each.file is not None and each.file.size_bytes is not None for each in formats):
        return "fetched"
    return "twin available" if spec.twin is not None else "needs file"


def _format(spec: ModelSpec, form: Format) -> FormatEntry:
    return FormatEntry(
        runtime=form.runtime,
        origin=form.origin,
        input=form.input,
        outputs=form.outputs,
        file=_file(spec, form),
    )


def _file(spec: ModelSpec, form: Format) -> FileEntry | None:
    remote = form.file
    if remote is None:
        return None
    path = store.fetched_file(spec, remote)
    return FileEntry(
        url=remote.url,
        member=remote.member,
        md5=remote.md5,
        path=str(path),
        size_bytes=_size_bytes(path),
        sha256=store.recorded_sha256(path),
    )


def _size_bytes(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None


def _twin(spec: ModelSpec) -> TwinEntry | None:
    form = spec.twin
    if form is None:
        return None
    path = store.twin_path(spec)
    return TwinEntry(runtime=form.runtime, origin=form.origin, path=str(path), built=path.is_file())
