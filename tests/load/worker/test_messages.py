from pathlib import Path

import pytest

from tailrace.load.client.request import Request
from tailrace.load.client.target import Endpoint
from tailrace.load.client.traffic import Traffic, Turns
from tailrace.load.config import LoadConfig
from tailrace.load.worker.messages import Change, Message, Reader, Setup, Start, frame

SENT: list[Message] = [
    Start(12345),
    Setup(
        config=LoadConfig(url="http://h/", reuse="lifo", body=Path("pictures"), slo=("p99<1s",)),
        worker=1,
        workers=2,
        traffic=Traffic(
            [Endpoint(host="h", port=80)],
            [Request(0, b"x" * 100_000), Request(0, b"head", (b"a", b"b"))],
            Turns((2,), (1.0,), "random"),
        ),
        profile=[(0.0, 0.0, "100"), (1.5, 150.0, "200")],
    ),
    Change(1.5, "100..200/60s,trace(a.csv)"),
]


@pytest.mark.parametrize("size", [1, 3, 1000, 10**7])
def test_messages_survive_any_cut_of_the_stream(size: int) -> None:
    stream = b"".join(map(frame, SENT))
    received: list[Message] = []
    reader = Reader(received.append)
    for at in range(0, len(stream), size):
        reader.feed(stream[at : at + size])
    assert received == SENT
