"""What a Tailrace service says of itself, for a peer that passes for one; and a sink that keeps
what comes of queries.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from tailrace.mlperf.system import Record
from tests.kit.peer import Asked
from tests.kit.server import http
from tests.kit.waiting import TIMEOUT_S


class Collector:
    """A sink that keeps everything, and the order in which it came."""

    def __init__(self, wanted: int) -> None:
        self.records: dict[int, Record] = {}
        self.reasons: dict[int, str] = {}
        self.ids: list[int] = []
        self._wanted = wanted
        self._changed = threading.Condition()

    def complete(self, query_id: int, record: Record) -> None:
        with self._changed:
            self.records[query_id] = record
            self._end(query_id)

    def fail(self, query_id: int, reason: str) -> None:
        with self._changed:
            self.reasons[query_id] = reason
            self._end(query_id)

    def wait(self, count: int | None = None) -> Collector:
        """Until so many queries have ended, by default all."""
        wanted = self._wanted if count is None else count
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.ids) >= wanted, TIMEOUT_S), self.reasons
            assert len(set(self.ids)) == len(self.ids), "each query ends once"
        return self

    def _end(self, query_id: int) -> None:
        self.ids.append(query_id)
        self._changed.notify_all()


TAILRACE: Mapping[str, bytes] = {
    "/v2/health/ready": http({"ready": True}),
    "/v2": http({"name": "tailrace", "version": "9", "extensions": ["binary_tensor_data"]}),
    "/getname/": http({"name": "Some Network SUT"}),
    "/v2/models/null": http(
        {
            "name": "null",
            "inputs": [{"name": "input", "datatype": "UINT8", "shape": [-1, -1]}],
            "outputs": [{"name": "output", "datatype": "UINT8", "shape": [-1, -1]}],
        }
    ),
}
"""What a Tailrace service with the null model says of itself."""


async def nothing_found(asked: Asked) -> bytes:
    """What the null model answers to a picture."""
    return http({"model": "null", "detections": []})
