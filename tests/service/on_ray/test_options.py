"""How many replicas, and the arguments of the application builder."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from tailrace.cli.serve import serve
from tailrace.errors import UsageError
from tailrace.service.config import TOKEN_VARIABLE
from tailrace.service.on_ray.options import Arguments, Scale, parse_scale, read_arguments


def test_scale() -> None:
    assert parse_scale("2") == Scale(2, 2)
    assert parse_scale("1..8") == Scale(1, 8)
    assert (str(parse_scale("2")), str(parse_scale("1..8"))) == ("2", "1..8")
    assert parse_scale("3..3").fixed


@pytest.mark.parametrize("text", ["", "0", "0..3", "4..2", "two", "1..", "-1", "1.5", "1..2..3"])
def test_no_scale(text: str) -> None:
    with pytest.raises(UsageError, match="--replicas"):
        parse_scale(text)


def test_arguments_are_the_options_of_the_command() -> None:
    options = {name.replace("_", "-") for name in inspect.signature(serve).parameters}
    # Where it listens is Ray Serve's to say, but for whether that is open to others.
    assert set(Arguments.__struct_encode_fields__) == options - {"port", "workers", "ray", "fault"}


def test_every_argument_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    given = {
        "models": ["shapes", "null"],
        "model-path": "/models/m.onnx",
        "dataset": "/data",
        "replicas": "1..8",
        "concurrency": 2,
        "intra-op": 3,
        "max-batch": 4,
        "batch-window": "5ms",
        "queue": 6,
        "runtime": "tensorflow",
        "device": "cuda",
        "grace": "7s",
        "twin": False,
    }
    config, scale = read_arguments(given)
    assert scale == Scale(1, 8)
    assert (config.models, config.host, config.token) == (("shapes", "null"), "0.0.0.0", "secret")
    assert (config.model_path, config.dataset) == (Path("/models/m.onnx"), Path("/data"))
    assert (config.concurrency, config.intra_op_threads, config.max_batch) == (2, 3, 4)
    assert (config.batch_window_s, config.queue, config.grace_s) == (0.005, 6, 7.0)
    assert (config.runtime, config.device, config.twin) == ("tensorflow", "cuda", False)


def test_arguments_of_a_command_line_are_text() -> None:
    config, scale = read_arguments(
        {"models": "shapes,null", "replicas": "2", "queue": "9", "twin": "true"}
    )
    assert (config.models, config.queue, config.twin) == (("shapes", "null"), 9, True)
    assert scale == Scale(2, 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "models"),
        ({"models": "shapes", "replica": 2}, "replica"),
        ({"models": "shapes", "queue": "many"}, "queue"),
        ({"models": "shapes", "port": 5000}, "port"),
        ({"models": "shapes", "replicas": "none"}, "--replicas"),
    ],
)
def test_bad_argument_is_named(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_arguments(given)
