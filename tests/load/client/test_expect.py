"""What is expected of an answer: read, and held against real answers."""

import asyncio
import json
from typing import Any

import pytest

from tailrace.errors import UsageError
from tailrace.load.client.expect import Expect, good_statuses, look_into, parse_expect
from tests.kit.server import answer_by, http


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("2xx", (200, 204, 299), (300, 404)),
        ("2xx,304", (200, 304), (301, 303, 305)),
        ("200-204, 404", (200, 204, 404), (205, 403)),
        ("503", (503,), (200, 502, 504)),
    ],
)
def test_statuses(text: str, good: tuple[int, ...], bad: tuple[int, ...]) -> None:
    table = good_statuses(text)
    assert len(table) == 1000
    assert all(table[status] for status in good)
    assert not any(table[status] for status in bad)


@pytest.mark.parametrize(
    ("size", "within", "without"),
    [
        ("2", (2,), (0, 1, 3)),
        ("2..", (2, 99), (0, 1)),
        ("..2", (0, 2), (3,)),
        ("2..4", (2, 4), (1, 5)),
    ],
)
def test_sizes(size: str, within: tuple[int, ...], without: tuple[int, ...]) -> None:
    broken = look_into(Expect(size=size))
    assert broken is not None
    assert [broken(bytes(length)) for length in within] == [None] * len(within)
    assert {broken(bytes(length)) for length in without} == {f"size is not {size} bytes"}


DOCUMENT = json.dumps({"outputs": [{"shape": [1, 2]}], "n": 3, "no": None, "s": "a=b"}).encode()


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ("body contains outputs", None),
        ("body contains nothing of it", "body lacks 'nothing of it'"),
        ("body !contains shape", "body has 'shape'"),
        ("body !contains error", None),
        ("json outputs", None),
        ("json $.outputs[0].shape", None),
        ("json outputs[0].shape[1]=2", None),
        ("json outputs.0", "json lacks outputs.0"),
        ("json outputs[1]", "json lacks outputs[1]"),
        ("json error", "json lacks error"),
        ("json !error", None),
        ("json !n", "json has n"),
        ("json !no", None),
        ("json n=3", None),
        ("json n = 4", "n is not 4"),
        ("json n!=3", "n is 3"),
        ("json n!=4", None),
        ("json s=a=b", None),
        ('json s="a=b"', None),
        ("json missing=1", "missing is not 1"),
    ],
)
def test_what_a_body_must_say(expected: str, said: str | None) -> None:
    broken = look_into(parse_expect(None, None, [expected]))
    assert broken is not None
    assert broken(DOCUMENT) == said


def test_a_body_that_is_no_json_is_said_to_be_none() -> None:
    broken = look_into(Expect(body=("json !error",)))
    assert broken is not None
    for body in (b"", b"ok", b"[" * 100_000, b"\xff"):
        assert broken(body) == "body is not JSON"


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": ""},
        {"status": "2x"},
        {"status": "100"},
        {"status": "1xx"},
        {"status": "1000"},
        {"status": "204-200"},
        {"size": "-1"},
        {"size": ".."},
        {"size": "1 2"},
        {"size": "4..2"},
        {"size": "2k"},
        {"body": ["contains x"]},
        {"body": ["body has x"]},
        {"body": ["json"]},
        {"body": ["json a..[x]"]},
        {"body": ["json !a=1"]},
    ],
)
def test_expectations_that_cannot_be_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"write|path|value|no final|less than"):
        parse_expect(**({"status": None, "size": None, "body": []} | wrong))


async def test_an_error_within_a_200_is_a_failure(serve: Any, offer: Any) -> None:
    async def answer(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        text = b'{"error": "CUDA out of memory"}' if number % 2 else b'{"outputs": []}'
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (text[:5], text[5:]):
            writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    server = serve(answer)
    session, _ = await offer(server.url, expect_body="json !error")
    total = session.total
    assert total.failed == {"unexpected": total.failures}
    assert total.reasons == {"unexpected: json has error": total.failures}
    assert abs(total.failures - total.completed) <= 2
    assert total.completed > 20
    (example,) = total.examples.values()
    assert example == 'HTTP/1.1 200 OK\n{"error": "CUDA out of memory"}'
    # The connection is as good as before.
    assert server.connections < total.ended

    session, _ = await offer(server.url)
    assert session.total.failed == {}


async def test_statuses_that_are_good_and_others_that_are_not(serve: Any, offer: Any) -> None:
    url = serve(answer_by(lambda number: http(b"", (200, 304, 404)[number % 3]))).url
    session, _ = await offer(url, expect_status="304,404")
    assert set(session.total.reasons) == {"unexpected: status 200"}
    assert session.total.failed == {"unexpected": session.total.failures}
    session, _ = await offer(url, expect_status="2xx,304", expect_size="0")
    assert set(session.total.reasons) == {"http: 404"}
    assert abs(2 * session.total.failures - session.total.completed) <= 4
