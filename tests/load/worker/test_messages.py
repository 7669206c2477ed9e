import pytest

from tailrace.load.client.request import Request
from tailrace.load.client.target import Endpoint
from tailrace.load.client.traffic import Turns
from tailrace.load.worker.messages import Change, Message, Reader, Setup, Start, frame

SENT: list[Message] = [
    Start(12345),
    Setup(
        worker=1,
        workers=2,
        endpoints=[Endpoint(host="h", port=80)],
        requests=[Request(0, b"x" * 100_000), Request(0, b"head", (b"a", b"b"))],
        turns=Turns((2,), (1.0,), "random"),
        arrivals="poisson",
        seed=1,
        profile=[(0.0, 0.0, "100"), (1.5, 150.0, "200")],
        duration_s=None,
        reuse="lifo",
        connections=10,
        timeout_s=1.0,
        connect_timeout_s=1.0,
        first_byte_timeout_s=1.0,
        interval_s=1.0,
        spin=False,
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
