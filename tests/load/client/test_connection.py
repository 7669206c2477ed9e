"""Every way a request can end, each by a server that really behaves so."""

import asyncio
import json
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tailrace.load.client.request import Body
from tailrace.load.session.session import Session
from tailrace.load.worker.launcher import GeneratorError
from tests.kit.ports import refusing, silent
from tests.kit.server import OK, answer_by, answer_never, answer_raw, http
from tests.kit.tls import certified

FAILING = [
    (
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        *("http_4xx", "http: 404", "HTTP/1.1 404 Not Found"),
    ),
    (
        b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 3\r\n\r\nno!",
        *("http_5xx", "http: 503", "HTTP/1.1 503 Busy\nno!"),
    ),
    (
        b"HTTP/1.1 429 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n2\r\nt!\r\n0\r\n\r\n",
        *("http_4xx", "http: 429", "HTTP/1.1 429 X\nnot!"),
    ),
    (
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        *("http_3xx", "http: 302", "HTTP/1.1 302 Found"),
    ),
    (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n",
        *("http_3xx", "http: 304", "HTTP/1.1 304 Not Modified"),
    ),
    (
        b"not http at all\r\n\r\n",
        *("protocol", "protocol: does not answer HTTP", "not http at all"),
    ),
    (
        b"\0\0\0\4\0\0\0\0\0",
        *("protocol", "protocol: answers HTTP/2: Tailrace speaks HTTP/1.1"),
        r"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    ),
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: banana\r\n\r\n",
        *("protocol", "protocol: Invalid character in Content-Length", "HTTP/1.1 200 OK"),
    ),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        *("protocol", "protocol: Invalid character in chunk size", "HTTP/1.1 200 OK"),
    ),
]
"""Answers, and what is said of them: kind, reason, example."""


async def test_failures_by_reason(serve: Any, offer: Any) -> None:
    answer = answer_by(lambda number: FAILING[number % len(FAILING)][0])
    session, intervals = await offer(serve(answer).url, duration_s=0.5)
    met = [FAILING[number % len(FAILING)] for number in range(session.total.offered)]
    assert len(met) > 20
    assert session.total.failed == Counter(kind for _, kind, _, _ in met)
    assert session.total.reasons == Counter(reason for _, _, reason, _ in met)
    examples = {reason: example for _, _, reason, example in FAILING}
    assert session.total.examples == examples
    # Each is shown once, in the interval in which it was met first.
    shown = [item for i in intervals for item in i.point.examples.items()]
    assert sorted(shown) == sorted(examples.items())
    assert session.total.latency.total == 0


async def test_closing_before_the_answer_is_whole(serve: Any, offer: Any) -> None:
    cut = [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"]
    answer = answer_by(lambda number: cut[number % 3], closes=lambda number: True)
    session, _ = await offer(serve(answer).url, duration_s=0.5)
    assert session.total.failed == {"reset": session.total.offered}


KEEPING = [
    OK,
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
]
CLOSING = [
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.0 200 OK\r\n\r\na body that ends with the connection",
]


@pytest.mark.parametrize("close", [False, True])
async def test_answers_of_every_framing(serve: Any, offer: Any, close: bool) -> None:
    answers = CLOSING if close else KEEPING
    answer = answer_by(lambda number: answers[number % len(answers)], closes=lambda number: close)
    server = serve(answer)
    session, _ = await offer(server.url, duration_s=0.5)
    assert session.total.failed == {}
    assert session.total.completed == session.total.offered > 20
    assert (server.connections >= session.total.offered) is close


async def test_nobody_listens(offer: Any) -> None:
    with refusing() as port:
        session, _ = await offer(f"http://127.0.0.1:{port}/", duration_s=0.5)
    assert session.total.failed == {"connect": session.total.offered}
    assert session.total.reasons == {"connect: refused": session.total.offered}


async def test_a_name_that_does_not_resolve(offer: Any) -> None:
    session, _ = await offer("http://nowhere.invalid/", duration_s=0.5)
    assert session.total.failed == {"connect": session.total.offered}
    assert "connect: name not known" in session.total.reasons


async def test_a_server_that_never_answers(serve: Any, offer: Any) -> None:
    session, _ = await offer(serve(answer_never).url, duration_s=0.5, timeout_s=0.4)
    assert session.total.failed == {"timeout": session.total.offered}


async def test_a_body_without_end(serve: Any, offer: Any) -> None:
    async def endless(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"5\r\nagain\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    session, _ = await offer(serve(endless).url, profile="20", duration_s=0.5, timeout_s=0.4)
    assert session.total.failed == {"timeout": session.total.offered}


async def test_a_backlog_that_is_never_accepted(offer: Any) -> None:
    """A listener whose queue is full takes no more: requests end at their timeout."""
    with silent() as port:
        url = f"http://127.0.0.1:{port}/"
        session, _ = await offer(url, profile="50", duration_s=0.5, timeout_s=0.5)
    assert session.total.reasons == {"connect: timed out": session.total.offered}


async def test_a_second_answer_is_not_taken_for_the_next_one(serve: Any, offer: Any) -> None:
    """The surplus answer comes in the same packet; the connection is not used again."""
    server = serve(answer_raw(OK + OK))
    session, _ = await offer(server.url, duration_s=0.5)
    assert session.total.completed == session.total.offered
    assert server.connections == session.total.offered


async def test_mixed_answers_are_told_apart(serve: Any, offer: Any) -> None:
    mixed = answer_by(lambda number: http(b"", 500) if number % 4 == 3 else OK)
    session, _ = await offer(serve(mixed).url, duration_s=0.5)
    total = session.total
    assert total.failed == {"http_5xx": total.offered // 4}
    assert total.completed == total.offered - total.offered // 4


async def test_connections_are_kept_and_reused(serve: Any, offer: Any) -> None:
    server = serve()
    session, _ = await offer(server.url, duration_s=0.5, arrivals="constant")
    assert session.total.completed == 50
    assert server.connections < 50


async def test_each_request_on_a_connection_of_its_own(serve: Any, offer: Any) -> None:
    """Though the server, which knows nothing of Connection, would keep them."""
    server = serve()
    session, _ = await offer(server.url, duration_s=0.5, keep_alive=False)
    assert session.total.failed == {}
    assert server.connections == session.total.offered > 20


async def test_a_head_request_needs_no_body(serve: Any, offer: Any) -> None:
    server = serve(answer_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"))
    session, _ = await offer(server.url, duration_s=0.5, method="HEAD")
    assert session.total.failed == {}
    assert session.total.completed == session.total.offered > 20
    assert server.connections < session.total.offered


async def test_a_head_without_end(serve: Any, offer: Any) -> None:
    """Ever more headers, or one that is ever longer."""

    async def endless(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        piece = b"X-More: " + b"x" * 8192 + b"\r\n" if number % 2 else b"X-More:" + b"x" * 65536
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    session, _ = await offer(serve(endless).url, profile="20", duration_s=0.5)
    assert session.total.failed == {"protocol": session.total.offered}


async def test_a_wrong_content_length(serve: Any, offer: Any) -> None:
    """Too short: the rest belongs to nobody, and ends the connection. Too long: never whole."""
    short, long = (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nok" % n for n in (1, 3))
    server = serve(answer_by(lambda number: long if number % 2 else short))
    session, _ = await offer(server.url, profile="40", duration_s=0.5, timeout_s=0.5)
    total = session.total
    assert total.failed == {"timeout": total.offered // 2}
    assert server.connections == total.offered


async def test_idle_connections_that_the_server_closes_lose_no_request(
    serve: Any, offer: Any
) -> None:
    """The server ends each connection right after its answer, without saying so beforehand."""
    server = serve(answer_raw(OK, close=True))
    session, _ = await offer(server.url, profile="40", duration_s=0.5, arrivals="constant")
    assert session.total.failed == {}
    assert session.total.completed == 20
    assert server.connections == 20


async def test_half_closed_connections_are_not_used_again(serve: Any, offer: Any) -> None:
    async def half_close(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        writer.write_eof()
        await asyncio.sleep(0.5)

    session, _ = await offer(
        serve(half_close).url, profile="40", duration_s=0.5, arrivals="constant"
    )
    assert session.total.failed == {}


async def test_the_first_byte_has_its_own_limit(serve: Any, offer: Any) -> None:
    async def slow(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if number % 2:
            # The answer begins at once, and its rest may take its time.
            writer.write(OK[:10])
            await writer.drain()
        await asyncio.sleep(1.2)
        writer.write(OK[10:] if number % 2 else OK)

    session, _ = await offer(
        serve(slow).url, profile="20", duration_s=0.5, first_byte_timeout_s=0.4
    )
    total = session.total
    assert total.failed == {"timeout": total.offered - total.offered // 2}
    assert total.completed == total.offered // 2


async def test_a_unix_socket(serve: Any, offer: Any, tmp_path: Path) -> None:
    server = serve(path=tmp_path / "s")
    session, _ = await offer("http://service.local/x", duration_s=0.5, unix_socket=tmp_path / "s")
    assert session.total.completed == session.total.offered == len(server.heads) > 20
    assert b"Host: service.local" in server.heads[0]


async def test_ipv6(serve: Any, offer: Any) -> None:
    server = serve(host="::1")
    urls = [f"http://[::1{zone}]:{server.port}/" for zone in ("", "%25lo")]
    session, _ = await offer(urls, duration_s=0.5)
    assert session.total.completed == session.total.offered > 20
    # RFC 6874, 4: a zone means nothing beyond this machine.
    hosts = {head.split(b"\r\n")[1] for head in server.heads}
    assert hosts == {f"Host: [::1]:{server.port}".encode()}


async def test_connecting_elsewhere_sends_what_the_url_says(serve: Any, offer: Any) -> None:
    server = serve()
    session, _ = await offer(
        "http://nowhere.invalid:81/x",
        duration_s=0.5,
        connect_to=f"127.0.0.1:{server.port}",
    )
    assert session.total.completed == session.total.offered > 20
    assert server.heads[0].startswith(b"GET /x HTTP/1.1\r\nHost: nowhere.invalid:81\r\n")


async def test_several_targets_share_by_weight(serve: Any, offer: Any) -> None:
    first, second = serve(), serve()
    session, _ = await offer([first.url, f"3:{second.url}"], profile="900", workers=2)
    total = session.total
    assert total.completed == total.offered == len(first.arrived_ns) + len(second.arrived_ns)
    assert len(second.arrived_ns) / total.offered == pytest.approx(0.75, abs=0.05)


async def test_a_counter_numbers_every_request_once(serve: Any, offer: Any) -> None:
    server = serve()
    bodies = [Body(b'{"n": {{counter}}}', "application/json")]
    session, _ = await offer(server.url, profile="300", bodies=bodies, workers=2)
    numbers = sorted(json.loads(body)["n"] for body in server.bodies)
    assert numbers == list(range(session.total.offered))


async def test_spinning_measures_the_same(serve: Any, offer: Any) -> None:
    server = serve()
    session, _ = await offer(server.url, duration_s=0.5, arrivals="constant", spin=True)
    assert session.total.completed == session.total.offered == 50


class TestTls:
    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def tls_server(self, authority: trustme.CA, serve: Any) -> int:
        port: int = serve(tls=certified("localhost", authority)).port
        return port

    async def test_a_certificate_counts_for_the_names_it_has(
        self, tls_server: int, authority: trustme.CA, offer: Any, tmp_path: Path
    ) -> None:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        urls = [f"https://{name}:{tls_server}/" for name in ("localhost", "127.0.0.1")]
        session, _ = await offer(urls, duration_s=0.5, ca_file=tmp_path / "ca.pem")
        total = session.total
        assert total.failed == {"connect": total.offered - total.completed}
        assert min(total.completed, total.failures) > 5
        assert all("127.0.0.1" in reason for reason in total.reasons)

    async def test_an_unknown_authority_is_refused(self, tls_server: int, offer: Any) -> None:
        session, _ = await offer(f"https://localhost:{tls_server}/", duration_s=0.3)
        assert session.total.failed == {"connect": session.total.offered}

    async def test_insecure_takes_any(self, tls_server: int, offer: Any) -> None:
        session, _ = await offer(f"https://127.0.0.1:{tls_server}/", duration_s=0.5, verify=False)
        assert session.total.completed == session.total.offered > 20

    async def test_connecting_elsewhere_checks_the_name_of_the_url(
        self, tls_server: int, authority: trustme.CA, offer: Any, tmp_path: Path
    ) -> None:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        session, _ = await offer(
            ["https://localhost/", "https://other.invalid/"],
            duration_s=0.5,
            ca_file=tmp_path / "ca.pem",
            connect_to=f"127.0.0.1:{tls_server}",
        )
        total = session.total
        assert total.failed == {"connect": total.offered - total.completed}
        assert min(total.completed, total.failures) > 5
        assert all("other.invalid" in reason for reason in total.reasons)

    @pytest.fixture
    def wary_url(self, authority: trustme.CA, serve: Any) -> str:
        """Of a server that lets in whoever shows a certificate."""
        context = certified("localhost", authority)
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
        return f"https://localhost:{serve(tls=context).port}/"

    @pytest.mark.parametrize("apart", [True, False])
    async def test_a_certificate_of_ones_own(
        self, authority: trustme.CA, wary_url: str, offer: Any, tmp_path: Path, apart: bool
    ) -> None:
        mine = authority.issue_cert("client@example.org")
        mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
        mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        mine.private_key_pem.write_to_path(tmp_path / "key.pem")
        cert, key = ("cert.pem", tmp_path / "key.pem") if apart else ("both.pem", None)
        files = {"cert_file": tmp_path / cert, "key_file": key}
        session, _ = await offer(wary_url, duration_s=0.5, verify=False, **files)
        assert session.total.completed == session.total.offered > 20

    async def test_no_certificate_of_ones_own(self, wary_url: str, offer: Any) -> None:
        session, _ = await offer(wary_url, duration_s=0.3, verify=False)
        assert session.total.completed == 0

    async def test_a_certificate_without_its_key(
        self, authority: trustme.CA, plan: Any, tmp_path: Path
    ) -> None:
        authority.issue_cert("a").cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        session = Session(plan("https://h/", cert_file=tmp_path / "cert.pem"))
        with pytest.raises(GeneratorError, match=r"cannot use the certificate .*cert\.pem"):
            await session.start()

    async def test_a_key_with_a_password_is_not_asked_for(
        self, authority: trustme.CA, plan: Any, tmp_path: Path
    ) -> None:
        own = authority.issue_cert("a")
        own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        locked = load_pem_private_key(own.private_key_pem.bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
        (tmp_path / "key.pem").write_bytes(locked)
        files = {"cert_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}
        session = Session(plan("https://h/", **files))
        with pytest.raises(GeneratorError, match=r"cannot use the certificate .*cert\.pem"):
            await session.start()

    async def test_a_server_without_tls(self, serve: Any, offer: Any) -> None:
        url = serve().url.replace("http:", "https:")
        session, _ = await offer(url, duration_s=0.5, timeout_s=2.0)
        assert session.total.failed == {"connect": session.total.offered}

    async def test_an_unreadable_ca_file(self, plan: Any, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nonsense")
        session = Session(plan("https://h/", ca_file=tmp_path / "ca.pem"))
        with pytest.raises(GeneratorError, match=r"cannot use the CA file .*ca\.pem"):
            await session.start()
