"""Queries to a system over the network, and what their answers should be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from tailrace.mlperf.network.system import NetworkSystem
from tailrace.mlperf.records import record
from tailrace.mlperf.samples import SampleLibrary
from tailrace.mlperf.system import Payload, Query, Sample
from tailrace.models.model import Model
from tailrace.models.outputs import Detections
from tests.kit.peer import Asked, Peer
from tests.kit.server import http
from tests.mlperf.peers import Collector

Open = Callable[..., NetworkSystem]
Start = Callable[..., Peer]
PREDICT = "/predict/null"
INFER = "/v2/models/null/infer"


def queries(count: int) -> list[Query]:
    """Each with a picture of its own, which says its number."""
    return [Query(1000 + i, Sample(i, 1000, 1000, b"%d" % i)) for i in range(count)]


def ask(system: NetworkSystem, wanted: list[Query]) -> Collector:
    collector = Collector(len(wanted))
    system.issue(wanted, collector)
    return collector.wait()


def library(model: Model, scenes: list[bytes], payload: Payload) -> SampleLibrary:
    samples = SampleLibrary(len(scenes), scenes.__getitem__, model.format, payload)
    samples.load(range(len(scenes)))
    return samples


def check_against(model: Model, scenes: list[bytes], wanted: list[Query], found: Any) -> None:
    """Each query's record is what the model finds in its scene."""
    computed = []
    for index, data in enumerate(scenes):
        image = model.decode(data)
        height_px, width_px = image.shape[:2]
        sees = model.postprocess(model.infer(model.preprocess(image)), width_px, height_px)
        assert isinstance(sees, Detections)
        computed.append(record(Sample(index, width_px, height_px, data), sees))
    assert len({each.tobytes() for each in computed}) == len(scenes), "they can be told apart"
    for query in wanted:
        np.testing.assert_allclose(found[query.id], computed[query.sample.index], atol=1e-4)


async def say_number(asked: Asked) -> bytes:
    """Detects the number in the picture, after a time of its own."""
    number = int(asked.body)
    await asyncio.sleep(number * 7 % 5 / 1000)
    row = {"class_id": number, "score": 0.5, "box": [number, 0, 0, 0]}
    return http({"model": "null", "detections": [row]})
