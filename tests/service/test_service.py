"""Loading, warming up and being ready."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from tailrace.errors import UsageError
from tailrace.models.runtimes import RuntimeFailedError
from tailrace.models.runtimes.null import NullRuntime
from tailrace.models.runtimes.onnx import OnnxRuntime
from tailrace.service.config import ServiceConfig
from tailrace.service.errors import NoPicturesError, NotReadyError, UnknownModelError
from tailrace.service.meter import Meter, new_sheet
from tailrace.service.service import Service

Make = Callable[..., Service]
Sizes = dict[str, list[int]]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes services, and ends their threads."""
    made: list[Service] = []

    def service(*models: str, workers: int = 1, **settings: Any) -> Service:
        config = ServiceConfig(models=models, workers=workers, **({"concurrency": 1} | settings))
        made.append(Service(config, Meter(new_sheet(workers, models), 0, models)))
        return made[-1]

    yield service
    assert all(service.batcher.close(60) for service in made)


@pytest.fixture
def inferred(monkeypatch: pytest.MonkeyPatch) -> Sizes:
    """Sizes of all batches that are computed from now on, by runtime."""
    sizes: Sizes = {}

    def watch(runtime: type) -> None:
        run = runtime.run  # type: ignore[attr-defined]
        seen = sizes[runtime.__name__] = []

        def noting(
            self: Any, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
        ) -> list[NDArray[Any]]:
            seen.extend({len(tensor) for tensor in inputs.values()})
            result: list[NDArray[Any]] = run(self, inputs, outputs)
            return result

        monkeypatch.setattr(runtime, "run", noting)

    watch(NullRuntime)
    watch(OnnxRuntime)
    return sizes


def test_each_batch_size_of_each_model_is_warmed_up(make: Make, inferred: Sizes) -> None:
    service = make("shapes", "null", max_batch=5)
    service.load()
    assert inferred == {"NullRuntime": [], "OnnxRuntime": []}
    service.warm_up()
    assert {name: sorted(set(sizes)) for name, sizes in inferred.items()} == {
        "NullRuntime": [1, 2, 3, 4, 5],
        "OnnxRuntime": [1, 2, 3, 4, 5],
    }
    # What clients asked for is counted, and nothing else.
    for counts in service.meter.snapshot().models.values():
        assert not any(counts.outcomes.values())
        assert counts.batches.sum == 0


def test_each_thread_is_warmed_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[int, list[int]] = {}
    run = NullRuntime.run

    def note(self: NullRuntime, inputs: Any, outputs: Any) -> Any:
        threads.setdefault(threading.get_ident(), []).append(len(next(iter(inputs.values()))))
        return run(self, inputs, outputs)

    monkeypatch.setattr(NullRuntime, "run", note)
    service = make("null", concurrency=3, max_batch=2)
    service.load()
    service.warm_up()
    assert sorted(map(sorted, threads.values())) == [[1, 1, 2]] * 3
    assert threading.get_ident() not in threads


def test_model_that_cannot_be_warmed_up(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeFailedError("no memory")

    monkeypatch.setattr(NullRuntime, "run", fail)
    service = make("null", concurrency=2)
    service.load()
    with pytest.raises(RuntimeFailedError, match="no memory"):
        service.warm_up()


def test_file_of_one_at_a_time_takes_no_batches(
    make: Make, inferred: Sizes, coco_model: Path
) -> None:
    service = make("ssd-mobilenet", model_path=coco_model)
    service.load()
    service.warm_up()
    assert set(inferred["OnnxRuntime"]) == {1}
    with pytest.raises(UsageError, match=r"--max-batch 4: this file of ssd-mobilenet takes 1"):
        make("ssd-mobilenet", model_path=coco_model, max_batch=4).load()


def test_ready_when_every_worker_is_and_until_it_stops(make: Make) -> None:
    service = make("null", workers=2)
    service.load()
    service.warm_up()
    assert not service.ready
    service.meter.set_ready(True)
    assert not service.ready
    Meter(service.meter.sheet, 1, ("null",)).set_ready(True)
    assert service.ready
    service.meter.sheet.note_death(1)
    assert not service.ready
    Meter(service.meter.sheet, 1, ("null",)).set_ready(True)
    service.meter.sheet.stop()
    assert not service.ready


def test_models_are_there_once_loaded(make: Make) -> None:
    service = make("null", "shapes")
    with pytest.raises(NotReadyError, match="shapes is being loaded"):
        service.model("shapes")
    with pytest.raises(UnknownModelError, match="there is null, shapes"):
        service.model("resnet50")
    service.load()
    assert service.model("shapes").spec.name == "shapes"
    assert service.model("null").runtime.platform == "tailrace_null"
    with pytest.raises(UnknownModelError, match="'resnet50'"):
        service.model("resnet50")


def test_pictures_are_the_folders_or_drawn(
    make: Make, tmp_path: Path, jpeg: bytes, coco_model: Path
) -> None:
    service = make("shapes", "ssd-mobilenet", model_path=coco_model)
    service.load()
    assert service.pictures(service.model("shapes")).draw().data.startswith(b"\xff\xd8\xff")
    with pytest.raises(NoPicturesError, match="--dataset"):
        service.pictures(service.model("ssd-mobilenet"))
    (tmp_path / "one.jpg").write_bytes(jpeg)
    service = make("shapes", dataset=tmp_path)
    service.load()
    assert service.pictures(service.model("shapes")).draw().data == jpeg
    with pytest.raises(UsageError, match="nowhere"):
        make("shapes", dataset=tmp_path / "nowhere").load()
