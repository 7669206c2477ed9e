"""Names of devices."""

from __future__ import annotations

import pytest

from tailrace.errors import UsageError
from tailrace.models.runtimes.device import Device, parse_device

KINDS = ("cpu", "cuda", "tensorrt")


@pytest.mark.parametrize(
    ("text", "device", "said"),
    [
        ("cpu", Device("cpu"), "cpu"),
        ("cuda", Device("cuda", 0), "cuda:0"),
        ("cuda:3", Device("cuda", 3), "cuda:3"),
        ("tensorrt:11", Device("tensorrt", 11), "tensorrt:11"),
    ],
)
def test_known_devices(text: str, device: Device, said: str) -> None:
    assert parse_device(text, KINDS, "It") == device
    assert str(device) == said
    assert parse_device(said, KINDS, "It") == device


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gpu",
        "CUDA",
        "cpu:0",
        "cuda:",
        "cuda:-1",
        "cuda:x",
        "cuda:1:2",
        "cuda:٣",
        " cpu",
        "cpu\n",
    ],
)
def test_others_are_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(UsageError, match=r"It has cpu, cuda, cuda:N, tensorrt, tensorrt:N$"):
        parse_device(text, KINDS, "It")


def test_a_kind_that_the_runtime_lacks() -> None:
    with pytest.raises(UsageError, match=r"It has cpu, cuda, cuda:N$"):
        parse_device("tensorrt", ("cpu", "cuda"), "It")
