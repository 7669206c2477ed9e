import os
import resource
import threading
from pathlib import Path

import pytest

from tailrace.errors import UsageError
from tailrace.load.client import request as request_module
from tailrace.load.client.request import (
    AGAIN,
    LAST,
    NO_BODY,
    Body,
    Request,
    encode_requests,
    merge_headers,
    parse_header,
    read_bodies,
    text_body,
)
from tailrace.load.client.target import parse_target


def test_a_get_request() -> None:
    (request,) = encode_requests(parse_target("http://h:1/p"), "get", [("X-A", "b")], [])
    head, body = request.head.split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"GET /p HTTP/1.1"
    assert b"Host: h:1" in lines
    assert b"X-A: b" in lines
    assert not any(line.lower().startswith(b"content-length") for line in lines)
    assert body == b""


def test_bodies_carry_their_length_and_type() -> None:
    bodies = [Body(b"abc", "image/png"), Body(b"", "text/plain")]
    first, second = encode_requests(parse_target("http://h/"), "POST", [], bodies)
    assert b"Content-Length: 3\r\n" in first.head
    assert b"Content-Type: image/png\r\n" in first.head
    assert first.head.endswith(b"\r\n\r\nabc")
    assert b"Content-Length: 0\r\n" in second.head


def test_own_headers_replace_the_defaults() -> None:
    bodies = [Body(b"{}", "text/plain")]
    headers = [("content-type", "application/json"), ("HOST", "other"), ("Content-Length", "2")]
    (request,) = encode_requests(parse_target("http://h/"), "PUT", headers, bodies)
    assert request.head.lower().count(b"content-type:") == 1
    assert b"content-type: application/json" in request.head
    assert request.head.split(b"\r\n")[1] == b"HOST: other"
    assert request.head.lower().count(b"content-length: 2\r\n") == 1
    assert b"Host: h" not in request.head


@pytest.mark.parametrize("text", ["novalue", ": x"])
def test_not_a_header(text: str) -> None:
    with pytest.raises(UsageError):
        parse_header(text)


@pytest.mark.parametrize(
    ("name", "value"), [("a", "b\r\nc: d"), ("a", "b\nc"), ("a\r\nb", "c"), ("a b", "c"), ("", "x")]
)
def test_no_header_ends_early(name: str, value: str) -> None:
    with pytest.raises(UsageError, match="not a header"):
        encode_requests(parse_target("http://h/"), "GET", [(name, value)], [])


def lines_of(request: Request) -> list[bytes]:
    return request.head.partition(b"\r\n\r\n")[0].split(b"\r\n")


def test_repeated_headers_are_all_sent_in_their_order() -> None:
    headers = [("X-A", "1"), ("Cookie", "a=b"), ("x-a", "2"), ("Accept", "p"), ("Accept", "q")]
    (request,) = encode_requests(parse_target("http://h/"), "GET", headers, [])
    lines = lines_of(request)
    assert lines[-5:] == [b"X-A: 1", b"Cookie: a=b", b"x-a: 2", b"Accept: p", b"Accept: q"]
    assert b"Accept: */*" not in lines


def test_lines_of_one_name_mean_the_same_in_one() -> None:
    lines = [("X-A", "1"), ("Cookie", "a=b"), ("x-a", "2"), ("B", ""), ("COOKIE", "c=d")]
    assert merge_headers(lines) == {"X-A": "1, 2", "Cookie": "a=b; c=d", "B": ""}


@pytest.mark.parametrize("value", ["chunked", "gzip, chunked", "identity", ""])
@pytest.mark.parametrize("bodies", [[], [Body(b"abc", "text/plain")]])
def test_a_request_has_one_framing(value: str, bodies: list[Body]) -> None:
    with pytest.raises(UsageError, match="Transfer-Encoding cannot be given"):
        encode_requests(parse_target("http://h/"), "POST", [("transfer-ENCODING", value)], bodies)


def test_a_request_has_one_host() -> None:
    with pytest.raises(UsageError, match="Host is given twice"):
        encode_requests(parse_target("http://h/"), "GET", [("Host", "a"), ("host", "b")], [])


@pytest.mark.parametrize(
    ("values", "bodies"),
    [
        (["999"], [b"abc"]),
        (["3", "4"], [b"abc"]),
        (["+3"], [b"abc"]),
        (["3"], [b"abc", b"abcd"]),
        (["3"], []),
        (["11"], [b"{{counter}}"]),
    ],
)
def test_a_length_that_contradicts_is_refused(values: list[str], bodies: list[bytes]) -> None:
    headers = [("Content-Length", value) for value in values]
    given = [Body(body, "text/plain") for body in bodies]
    with pytest.raises(UsageError, match=r"Content-Length .* contradicts"):
        encode_requests(parse_target("http://h/"), "POST", headers, given)


@pytest.mark.parametrize(("method", "sent"), [("GET", 0), ("DELETE", 0), ("POST", 1), ("put", 1)])
def test_a_method_that_has_a_body_says_that_there_is_none(method: str, sent: int) -> None:
    (request,) = encode_requests(parse_target("http://h/"), method, [], [])
    assert lines_of(request).count(b"Content-Length: 0") == sent
    assert request.head.endswith(b"\r\n\r\n")
    assert request.head.count(b"\r\n\r\n") == 1


def test_credentials_of_a_url_are_sent_as_basic() -> None:
    target = parse_target("http://us%40er:pa%3Ass@h:1/p")
    (request,) = encode_requests(target, "GET", [], [])
    assert b"Authorization: Basic dXNAZXI6cGE6c3M=" in lines_of(request)
    assert b"Host: h:1" in lines_of(request)
    # A header of one's own is what is meant.
    (own,) = encode_requests(target, "GET", [("authorization", "Bearer x")], [])
    assert [line for line in lines_of(own) if b"uthorization" in line] == [
        b"authorization: Bearer x"
    ]


def test_a_template_counts_and_keeps_its_length_right() -> None:
    bodies = [Body(b'{"id": {{counter}}, "again": {{counter}}}', "application/json")]
    (request,) = encode_requests(parse_target("http://h/"), "POST", [], bodies)
    for number in (0, 9, 10, 123456):
        head, body = request.render(number).split(b"\r\n\r\n")
        assert body == b'{"id": %d, "again": %d}' % (number, number)
        assert b"Content-Length: %d" % len(body) in head


@pytest.mark.parametrize(
    ("method", "headers", "manner"),
    [
        ("GET", [], AGAIN),
        ("PUT", [], AGAIN),
        ("DELETE", [], AGAIN),
        ("head", [], NO_BODY | AGAIN),
        ("POST", [], 0),
        ("PATCH", [], 0),
        ("POST", [("idempotency-key", "7")], AGAIN),
        ("POST", [("CONNECTION", "Close")], LAST),
        ("POST", [("Connection", "te, close")], LAST),
        ("POST", [("Connection", "te"), ("Connection", "close, te")], LAST),
        ("GET", [("Connection", "close")], LAST | AGAIN),
        ("POST", [("Connection", "keep-alive")], 0),
        ("POST", [("Connection", "closest")], 0),
        ("POST", [("X-Connection", "close")], 0),
    ],
)
@pytest.mark.parametrize("content", [b"", b"{{counter}}", b"\r\n\r\nConnection: close\r\n"])
def test_method_and_headers_tell_the_manner(
    method: str, headers: list[tuple[str, str]], manner: int, content: bytes
) -> None:
    bodies = [Body(content, "text/plain")] if content else []
    (request,) = encode_requests(parse_target("http://h/"), method, headers, bodies)
    assert request.manner == manner


def make_files(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)


def sent(path: Path) -> list[str]:
    return [body.content.decode() for body in read_bodies(path)]


def test_a_file() -> None:
    assert read_bodies(Path(__file__))[0].content == Path(__file__).read_bytes()


def test_the_files_of_a_folder_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    make_files(
        tmp_path, "b.json", "a/z.json", ".hidden", "a/.git/x", "a/a.bin", "a.d/q", "c/d/e/f.txt"
    )
    assert sent(tmp_path) == ["a/a.bin", "a/z.json", "a.d/q", "b.json", "c/d/e/f.txt"]
    assert read_bodies(tmp_path / "b.json") == [Body(b"b.json", "application/json")]


def test_pictures_are_sent_without_what_lies_beside_them(tmp_path: Path) -> None:
    """The layout of `data generate`, `prepare` and `fetch`, and of COCO and ImageNet."""
    make_files(
        tmp_path, "val2017/2.jpg", "val2017/1.PNG", "annotations/instances.json", "README", "x.md"
    )
    notes: list[str] = []
    given = read_bodies(tmp_path, note=notes.append)
    assert [(body.content.decode(), body.content_type) for body in given] == [
        ("val2017/1.PNG", "image/png"),
        ("val2017/2.jpg", "image/jpeg"),
    ]
    (note,) = notes
    assert "README, annotations/instances.json, x.md; it has pictures" in note
    notes.clear()
    read_bodies(tmp_path / "val2017", note=notes.append)
    read_bodies(tmp_path / "annotations", note=notes.append)
    assert notes == []


def test_many_left_out_are_counted(tmp_path: Path) -> None:
    make_files(tmp_path, "p.jpg", *(f"{number:04}.txt" for number in range(1234)))
    notes: list[str] = []
    assert len(read_bodies(tmp_path, note=notes.append)) == 1
    assert "0000.txt, 0001.txt, 0002.txt and 1,231 more" in notes[0]


def test_links_are_followed_and_end(tmp_path: Path) -> None:
    make_files(tmp_path / "elsewhere", "x.bin", "deep/y.bin")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").symlink_to("../elsewhere/x.bin")
    (folder / "linked").symlink_to("../elsewhere")
    (folder / "again").symlink_to("../elsewhere")
    (folder / "circle").symlink_to(".")
    assert sorted(sent(folder)) == ["deep/y.bin", "x.bin", "x.bin"]


def test_every_file_is_checked_where_it_really_is(tmp_path: Path) -> None:
    make_files(tmp_path / "elsewhere", "x.bin")
    make_files(tmp_path / "folder", "sub/own.bin")
    (tmp_path / "folder/sub/link").symlink_to(tmp_path / "elsewhere/x.bin")
    checked: list[Path] = []
    read_bodies(tmp_path / "folder", checked.append)
    root = tmp_path.resolve()
    assert [path for path in checked if not path.is_symlink()] == [
        root / "elsewhere/x.bin",
        *2 * [root / "folder/sub/own.bin"],
    ]


def test_nothing_to_send(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no files"):
        read_bodies(tmp_path)
    with pytest.raises(UsageError, match=r"cannot read the body .*absent: No such file"):
        read_bodies(tmp_path / "absent")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"cannot read the body .*dangling: No such file"):
        read_bodies(tmp_path)
    with pytest.raises(UsageError, match="null byte"):
        read_bodies(Path("a\0b"))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/full"])
def test_a_device_is_no_body(device: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a device"):
        read_bodies(Path(device))
    (tmp_path / "link").symlink_to(device)
    with pytest.raises(UsageError, match="it is a device"):
        read_bodies(tmp_path)


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(UsageError, match="it is a pipe"):
            read_bodies(path)


def test_the_size_is_looked_at_before_anything_is_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match="too much to send: bodies may take 1,024 MiB together"):
        read_bodies(tmp_path / "sparse")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_all_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_module, "MAX_BYTES", 10_000)
    monkeypatch.setattr(request_module, "MAX_FILES", 7)
    for number in range(3):
        (tmp_path / str(number)).write_bytes(bytes(3000 + number))
    assert len(read_bodies(tmp_path)) == 3
    (tmp_path / "more").write_bytes(bytes(1001))
    with pytest.raises(UsageError, match="too much to send"):
        read_bodies(tmp_path)
    make_files(tmp_path, *"abcd")
    with pytest.raises(UsageError, match="holds more than 7 files"):
        read_bodies(tmp_path)


def test_a_file_that_grows_is_read_as_it_was(tmp_path: Path) -> None:
    growing = tmp_path / "log"
    growing.write_bytes(b"x" * 1000)
    stop = threading.Event()

    def grow() -> None:
        with growing.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"y" * 100_000)
                if file.tell() > 1 << 28:
                    return

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(20):
            (body,) = read_bodies(growing)
            assert len(body.content) < 1 << 29
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ('{"a":1}', "application/json"),
        (" [1, 2]\n", "application/json"),
        ('{"id": {{counter}}}', "application/json"),
        ('{"a":1', "text/plain; charset=utf-8"),
        ("{a: 1}", "text/plain; charset=utf-8"),
        ("[" * 100_000, "text/plain; charset=utf-8"),
        ("hello", "text/plain; charset=utf-8"),
        ("", "text/plain; charset=utf-8"),
        ("für", "text/plain; charset=utf-8"),
    ],
)
def test_text(text: str, content_type: str) -> None:
    assert text_body(text) == Body(text.encode(), content_type)
