"""Systems over the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tailrace.mlperf.network.system import NetworkSystem, connect
from tailrace.models import model as models
from tailrace.models import store, zoo
from tailrace.models.model import Model, RuntimeOptions
from tests.kit.waiting import TIMEOUT_S
from tests.mlperf.network.asking import Open


@pytest.fixture
def system() -> Iterator[Open]:
    """Connects: `system(url, …, model="null", routing="least-outstanding")`."""
    opened: list[NetworkSystem] = []

    def start(*urls: str, model: str = "null", **settings: Any) -> NetworkSystem:
        defaults: dict[str, Any] = {
            "payload": "picture",
            "routing": "round-robin",
            "connections": 8,
            "timeout_s": TIMEOUT_S,
            "headers": {},
        }
        opened.append(connect(zoo.find(model), urls, **(defaults | settings)))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture(scope="module")
def shapes() -> Model:
    spec = zoo.find("shapes")
    return models.load(spec, store.model_file(spec), RuntimeOptions())
