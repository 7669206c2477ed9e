"""What a service is asked to be, and whether it can be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.errors import UsageError
from tailrace.machine.cgroup import cores, limits
from tailrace.models import zoo
from tailrace.models.model import TWIN_NOTICE
from tailrace.models.runtimes.datatypes import DTYPES
from tailrace.service import messages
from tailrace.service.config import ServiceConfig

COUNT = st.integers(1, 64)
WITH_PATCH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def _machine(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr("tailrace.service.config.cores", lambda: count)


@WITH_PATCH
@given(count=COUNT, workers=COUNT, intra_op=COUNT)
def test_threads_never_exceed_the_cores_unless_asked(
    monkeypatch: pytest.MonkeyPatch, count: int, workers: int, intra_op: int
) -> None:
    _machine(monkeypatch, count)
    config = ServiceConfig(models=("null",), workers=workers, intra_op_threads=intra_op)
    threads = workers * config.threads * intra_op
    asked = workers * intra_op
    assert config.threads >= 1
    assert threads <= max(count, asked)
    # And none is left idle that another thread a process could have.
    assert threads + asked > count


@WITH_PATCH
@given(count=COUNT, workers=COUNT, intra_op=COUNT, concurrency=st.none() | COUNT)
def test_spins_only_alone_and_with_a_core_to_spare(
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    workers: int,
    intra_op: int,
    concurrency: int | None,
) -> None:
    _machine(monkeypatch, count)
    config = ServiceConfig(
        models=("null",), workers=workers, intra_op_threads=intra_op, concurrency=concurrency
    )
    if config.spin:
        assert workers * config.threads == 1
        assert 2 <= intra_op <= count - 1
    elif workers == config.threads == 1 and intra_op > 1:
        assert intra_op >= count
    assert config.options.spin == config.spin
    assert config.options.threads == intra_op


def test_defaults_share_the_cores_out() -> None:
    assert ServiceConfig(models=("null",)).threads == cores()
    assert ServiceConfig(models=("null",), workers=cores()).threads == 1
    assert not ServiceConfig(models=("null",)).spin
    assert ServiceConfig(models=("null",), concurrency=50).threads == 50


def test_description_says_what_was_chosen() -> None:
    config = ServiceConfig(
        models=("shapes", "resnet50"),
        twin=True,
        workers=2,
        concurrency=3,
        intra_op_threads=4,
        max_batch=8,
        batch_window_s=0.0025,
        queue=9,
        token="secret",
    )
    description = config.description()
    assert description == {
        "models": ["shapes", "resnet50"],
        "notice": f"resnet50: {TWIN_NOTICE}",
        "runtime": "onnx",
        "device": "cpu",
        "cores": cores(),
        "container": {"cpus": limits().cpus, "memory_bytes": limits().memory_bytes},
        "workers": 2,
        "concurrency": 3,
        "intra_op_threads": 4,
        "spin": False,
        "queue": 9,
        "max_batch": 8,
        "batch_window_ms": 2.5,
        "max_body_bytes": 32 * 2**20,
        "max_pixels": 25_000_000,
    }


@pytest.mark.parametrize(
    ("models", "twin", "twins"),
    [
        (("shapes", "null"), False, []),
        (("ssd-mobilenet", "resnet50", "shapes"), False, []),
        (("ssd-mobilenet", "resnet50", "shapes"), True, ["ssd-mobilenet", "resnet50"]),
        (("ssd-resnet34", "null"), True, ["ssd-resnet34"]),
    ],
)
def test_notice_names_the_twins(models: tuple[str, ...], twin: bool, twins: list[str]) -> None:
    config = ServiceConfig(models=models, twin=twin)
    assert [name for name in models if config.is_twin(zoo.find(name))] == twins
    assert config.notice == (f"{', '.join(twins)}: {TWIN_NOTICE}" if twins else None)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"models": ()}, "name a model"),
    ({"models": ("null", "shapes", "null")}, "null is named twice"),
    ({"models": ("nul",)}, "did you mean null"),
    ({"workers": 0}, "--workers is 1 or more, not 0"),
    ({"concurrency": 0}, "--concurrency is 1 or more, not 0"),
    ({"intra_op_threads": -1}, "--intra-op is 1 or more, not -1"),
    ({"max_batch": 0}, "--max-batch is 1 or more, not 0"),
    ({"queue": 0}, "--queue is 1 or more, not 0"),
    ({"runtime": "torch"}, "--runtime is onnx or tensorflow, not 'torch'"),
    ({"port": 65536}, "--port is 0 to 65535"),
    ({"port": -1}, "--port is 0 to 65535"),
    ({"twin": True}, "--twin: there is none of null"),
    ({"models": ("resnet50",), "twin": True, "model_path": Path("x")}, "leave --model-path out"),
    ({"models": ("shapes",), "model_path": Path("nowhere.onnx")}, "no model file nowhere.onnx"),
    (
        {"models": ("resnet50", "mobilenet"), "model_path": Path("x.onnx")},
        "serve resnet50 and mobilenet apart",
    ),
    ({"host": "0.0.0.0"}, "TAILRACE_TOKEN"),
    ({"host": "127.0.0.1.9"}, "127.0.0.1.9"),
]


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[message for _, message in BAD])
def test_what_cannot_be_is_said(changes: dict[str, Any], message: str) -> None:
    defaults: dict[str, Any] = {"models": ("null",)}
    with pytest.raises(UsageError, match=message):
        ServiceConfig(**(defaults | changes)).check()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"models": ("null", "shapes")},
        {"workers": 64, "concurrency": 64, "intra_op_threads": 64, "max_batch": 1000},
        {"queue": 100_000, "port": 0},
        {"host": "localhost"},
        {"host": "0.0.0.0", "token": "secret"},
    ],
)
def test_what_can_be(changes: dict[str, Any]) -> None:
    defaults: dict[str, Any] = {"models": ("null",)}
    ServiceConfig(**(defaults | changes)).check()


def test_file_goes_to_the_model_that_needs_one(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"x")
    config = ServiceConfig(models=("shapes", "null", "resnet50"), model_path=file)
    found = {spec.name: path for spec, path in config.files()}
    assert found["resnet50"] == file
    assert found["null"] is None
    assert found["shapes"] not in (None, file)
    ((_, path),) = ServiceConfig(models=("shapes",), model_path=file).files()
    assert path == file


def test_settings_reach_the_workers_whole() -> None:
    config = ServiceConfig(
        models=("shapes", "null"),
        model_path=Path("a b/ü.onnx"),
        dataset=Path("x"),
        batch_window_s=0.1,
        concurrency=3,
        token="täst\n",
    )
    line = messages.encode(config)
    assert line.count(b"\n") == 1
    assert messages.decode_config(line) == config


@pytest.mark.parametrize("name", zoo.names())
def test_two_rows_of_every_model_fit_the_longest_body(name: str) -> None:
    limit_bytes = ServiceConfig(models=(name,)).body_limit_bytes
    assert limit_bytes >= 32 * 2**20
    for form in zoo.find(name).formats:
        elements = 2 * abs(math.prod(form.input.shape[1:]))
        dtype = DTYPES[form.input.datatype]
        assert limit_bytes >= elements * dtype.itemsize + 1000
        # One that takes the most characters, as Python's json writes a list.
        worst = float(np.finfo(np.float32).min) / 3 if dtype.kind == "f" else np.iinfo(dtype).max
        assert limit_bytes >= elements * len(json.dumps([worst, worst])) / 2 + 1000


def test_longest_body_is_that_of_the_largest_model_unless_it_is_said() -> None:
    both = ServiceConfig(models=("shapes", "ssd-resnet34"))
    assert both.body_limit_bytes == ServiceConfig(models=("ssd-resnet34",)).body_limit_bytes
    assert both.body_limit_bytes > 2 * 3 * 1200 * 1200 * 25
    assert ServiceConfig(models=("ssd-resnet34",), max_body_bytes=5).body_limit_bytes == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_body_bytes": 0}, "--max-body is 1 or more, not 0"),
        ({"max_pixels": 0}, "--max-pixels is 1 or more, not 0"),
        ({"max_pixels": 2**31}, "--max-pixels is 1,073,741,824 at most, not 2,147,483,648"),
    ],
)
def test_limits_that_cannot_be(settings: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ServiceConfig(models=("null",), **settings).check_settings()  # type: ignore[arg-type]
