"""Downloads from real servers that drop, change, stall and refuse."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace.download import download
from tailrace.errors import TailraceError, UsageError
from tests.kit.files import FileServer, StoppedError, stop_at
from tests.kit.ports import refusing
from tests.kit.waiting import TIMEOUT_S

CONTENT = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(250_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()

CHILD = """
import resource, sys
from pathlib import Path
from tailrace.download import download
for limit in sys.argv[3:]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
def tell(done, total): print(done, total, flush=True)
print("sha256", download(sys.argv[1], Path(sys.argv[2]), progress=tell), flush=True)
"""


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer({"/file": CONTENT})
    yield server
    server.close()


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that download `url` to `to`, and print their progress."""
    children: list[subprocess.Popen[str]] = []

    def start(url: str, to: Path) -> subprocess.Popen[str]:
        children.append(
            subprocess.Popen(
                [sys.executable, "-c", CHILD, url, str(to)], stdout=subprocess.PIPE, text=True
            )
        )
        return children[-1]

    yield start
    for process in children:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def begun(server: FileServer, to: Path) -> int:
    """Leaves the beginning of a download at `to`; returns how many bytes that is."""
    with pytest.raises(StoppedError):
        download(f"{server.url}/file", to, progress=stop_at(100_000))
    size = to.with_name(f"{to.name}.part").stat().st_size
    assert 100_000 <= size < len(CONTENT)
    server.forget()
    return size


def test_a_file(server: FileServer, tmp_path: Path) -> None:
    to = tmp_path / "deep" / "file"
    seen: list[tuple[int, int | None]] = []
    told = download(
        f"{server.url}/file",
        to,
        md5=MD5.upper(),
        sha256=SHA256,
        progress=lambda *step: seen.append(step),
    )
    assert told == SHA256
    assert to.read_bytes() == CONTENT
    assert names_in(to.parent) == ["file"]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    umask = os.umask(0)
    os.umask(umask)
    assert to.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_file_that_is_there_is_left_alone(server: FileServer, tmp_path: Path) -> None:
    to = tmp_path / "file"
    to.write_bytes(CONTENT)
    assert download(f"{server.url}/file", to, md5=MD5) == SHA256
    to.write_bytes(OTHER)
    assert download(f"{server.url}/file", to) == hashlib.sha256(OTHER).hexdigest()
    assert not server.requests
    assert download(f"{server.url}/file", to, md5=MD5) == SHA256
    assert to.read_bytes() == CONTENT


def test_a_killed_download_is_resumed(
    server: FileServer, tmp_path: Path, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """The second request starts where the first was cut off."""
    to, part = tmp_path / "file", tmp_path / "file.part"
    server.hold_at = 200_000
    process = child(f"{server.url}/file", to)
    assert process.stdout is not None
    while process.stdout.readline() != f"200000 {len(CONTENT)}\n":
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert part.read_bytes() == CONTENT[:200_000]
    assert not to.exists()
    server.go.set()
    assert download(f"{server.url}/file", to) == SHA256
    assert server.ranges_asked_for == [None, "bytes=200000-"]
    assert server.requests[1]["If-Range"] == '"1"'
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("cuts", [[0], [1], [299_999], [100_000, 0, 50_000]])
def test_dropped_connections_are_taken_up(
    server: FileServer, tmp_path: Path, cuts: list[int]
) -> None:
    server.cuts = list(cuts)
    assert download(f"{server.url}/file", tmp_path / "file") == SHA256
    come = [sum(cuts[: tries + 1]) for tries in range(len(cuts))]
    assert server.ranges_asked_for == [None, *(f"bytes={at}-" if at else None for at in come)]


def test_a_stalled_server_counts_as_dropped(server: FileServer, tmp_path: Path) -> None:
    server.hold_at = 120_000

    def progress(done: int, total: int | None) -> None:
        if len(server.requests) == 2:
            server.go.set()

    assert (
        download(f"{server.url}/file", tmp_path / "file", progress=progress, timeout_s=0.3)
        == SHA256
    )
    assert server.ranges_asked_for == [None, "bytes=120000-"]


@pytest.mark.slow("the waits between tries add up")
def test_tries_come_to_an_end(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [1000] + [0] * 20
    with pytest.raises(TailraceError, match=r"broke off at byte 1,000 .* run this again"):
        download(f"{server.url}/file", tmp_path / "file")
    assert len(server.requests) == 6
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:1000]


def test_headway_earns_new_tries(server: FileServer, tmp_path: Path) -> None:
    content = server.files["/file"] = random.Random(3).randbytes(8 << 20)
    server.cuts = [1 << 20] * 7
    assert download(f"{server.url}/file", tmp_path / "file") == hashlib.sha256(content).hexdigest()
    assert len(server.requests) == 8


def test_passing_trouble_is_waited_out(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    assert download(f"{server.url}/file", tmp_path / "file") == SHA256
    assert len(server.requests) == 3


def test_without_ranges_it_all_comes_again(server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    size = begun(server, tmp_path / "file")
    assert download(f"{server.url}/file", tmp_path / "file") == SHA256
    assert server.ranges_asked_for == [f"bytes={size}-"]


@pytest.mark.parametrize(
    ("validators", "resumed"),
    [
        ({"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, '"1"'),
        (
            {"ETag": 'W/"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"},
            "Thu, 01 Jan 2026 00:00:00 GMT",
        ),
        ({"ETag": 'W/"1"'}, None),
        ({}, None),
    ],
)
def test_only_a_strong_validator_allows_a_resumption(
    server: FileServer, tmp_path: Path, validators: dict[str, str], resumed: str | None
) -> None:
    server.validators = validators
    begun(server, tmp_path / "file")
    assert download(f"{server.url}/file", tmp_path / "file") == SHA256
    assert [request["If-Range"] for request in server.requests] == [resumed]
    assert (server.ranges_asked_for[0] is None) == (resumed is None)


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_changed_file_starts_anew(
    server: FileServer, tmp_path: Path, heeds_if_range: bool
) -> None:
    begun(server, tmp_path / "file")
    server.files["/file"], server.validators = OTHER, {"ETag": '"2"'}
    server.heeds_if_range = heeds_if_range
    assert download(f"{server.url}/file", tmp_path / "file") == hashlib.sha256(OTHER).hexdigest()
    assert len(server.requests) == (1 if heeds_if_range else 2)


def test_a_file_that_shrank_starts_anew(server: FileServer, tmp_path: Path) -> None:
    begun(server, tmp_path / "file")
    server.files["/file"], server.heeds_if_range = b"short", False
    download(f"{server.url}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"short"


def test_another_address_starts_anew(server: FileServer, tmp_path: Path) -> None:
    begun(server, tmp_path / "file")
    server.files["/file-2"] = OTHER
    download(f"{server.url}/file-2", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == OTHER
    assert server.ranges_asked_for == [None]


def test_a_file_complete_but_for_its_name(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        download(f"{server.url}/file", tmp_path / "file", progress=stop_at(len(CONTENT)))
    server.forget()
    assert download(f"{server.url}/file", tmp_path / "file") == SHA256
    assert not server.requests


@pytest.mark.parametrize("note", [b"", b"{", b'{"url": 1}'])
def test_a_broken_note_starts_anew(server: FileServer, tmp_path: Path, note: bytes) -> None:
    begun(server, tmp_path / "file")
    (tmp_path / "file.part.json").write_bytes(note)
    assert download(f"{server.url}/file", tmp_path / "file") == SHA256
    assert server.ranges_asked_for == [None]


def test_a_length_nobody_told(server: FileServer, tmp_path: Path) -> None:
    server.told_length = False
    totals: set[int | None] = set()
    told = download(
        f"{server.url}/file", tmp_path / "file", progress=lambda done, total: totals.add(total)
    )
    assert told == SHA256
    assert totals == {None}


@pytest.mark.parametrize("name", ["md5", "sha256"])
def test_a_wrong_checksum_leaves_nothing(server: FileServer, tmp_path: Path, name: str) -> None:
    found = {"md5": MD5, "sha256": SHA256}[name]
    with pytest.raises(TailraceError, match=f"its {name} is {found}, expected 0123;"):
        download(f"{server.url}/file", tmp_path / "file", **{name: "0123"})
    assert names_in(tmp_path) == []


def test_a_wrong_checksum_leaves_what_was_there(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OTHER)
    with pytest.raises(TailraceError, match="is not the file it should be"):
        download(f"{server.url}/file", tmp_path / "file", md5="0123")
    assert (tmp_path / "file").read_bytes() == OTHER


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusals_are_final(server: FileServer, tmp_path: Path, status: int) -> None:
    server.statuses = [status]
    with pytest.raises(TailraceError, match=f"127.0.0.1 answers {status} .* to {server.url}/file"):
        download(f"{server.url}/file", tmp_path / "file")
    assert len(server.requests) == 1


def test_nobody_there(tmp_path: Path) -> None:
    to = tmp_path / "file"
    with refusing() as port, pytest.raises(TailraceError, match="cannot reach") as raised:
        download(f"http://127.0.0.1:{port}/file", to)
    assert str(raised.value) == (
        "cannot reach 127.0.0.1 (Connection refused); "
        f"fetch http://127.0.0.1:{port}/file elsewhere and put it at {to}"
    )


def test_no_name_service(tmp_path: Path) -> None:
    """An address in a zone that does not exist is looked up, and not found, without a packet."""
    with pytest.raises(TailraceError, match=r"^no network: cannot reach .* elsewhere and put it"):
        download("http://[fe80::1%25nowhere]/file", tmp_path / "file")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://h/f", "nonsense", "http://h:x/", "http://h/a b", ""]
)
def test_what_is_no_url(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="is not an http or https URL"):
        download(url, tmp_path / "file")


def test_a_proxy_is_used(
    server: FileServer,
    tmp_path: Path,
    child: Callable[..., subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.files["http://models.invalid/file"] = CONTENT
    monkeypatch.delenv("no_proxy", raising=False)
    process = child("http://models.invalid/file", tmp_path / "file")
    assert process.communicate(timeout=TIMEOUT_S)[0].endswith(f"sha256 {SHA256}\n")
    assert server.requests[0]["Host"] == "models.invalid"


def test_two_at_once(
    server: FileServer, tmp_path: Path, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """The second waits and follows the first; the file is fetched once."""
    server.hold_at = 200_000
    first = child(f"{server.url}/file", tmp_path / "file")
    assert first.stdout is not None
    while first.stdout.readline() != f"200000 {len(CONTENT)}\n":
        assert first.poll() is None
    second = child(f"{server.url}/file", tmp_path / "file")
    assert second.stdout is not None
    assert second.stdout.readline() == "200000 None\n"
    server.go.set()
    for process in (first, second):
        assert process.communicate(timeout=TIMEOUT_S)[0].endswith(f"sha256 {SHA256}\n")
    assert len(server.requests) == 1
    assert names_in(tmp_path) == ["file"]


def test_the_second_takes_over_from_a_killed_first(
    server: FileServer, tmp_path: Path, child: Callable[..., subprocess.Popen[str]]
) -> None:
    server.hold_at = 200_000
    first = child(f"{server.url}/file", tmp_path / "file")
    assert first.stdout is not None
    while first.stdout.readline() != f"200000 {len(CONTENT)}\n":
        assert first.poll() is None
    second = child(f"{server.url}/file", tmp_path / "file")
    assert second.stdout is not None
    assert second.stdout.readline() == "200000 None\n"
    first.kill()
    server.go.set()
    assert second.communicate(timeout=TIMEOUT_S)[0].endswith(f"sha256 {SHA256}\n")
    assert server.ranges_asked_for == [None, "bytes=200000-"]


def test_many_threads_at_once(server: FileServer, tmp_path: Path) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(download(f"{server.url}/file", tmp_path / "file"))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [SHA256] * 8
    assert len(server.requests) == 1
    assert names_in(tmp_path) == ["file"]


def test_a_full_disk_keeps_what_came(server: FileServer, tmp_path: Path) -> None:
    """A limit on the size of files fails as a full disk does: short writes, then none."""
    finished = subprocess.run(
        [sys.executable, "-c", CHILD, f"{server.url}/file", str(tmp_path / "file"), "123456"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert f"no room for {tmp_path / 'file'}" in finished.stderr.splitlines()[-1]
    assert (tmp_path / "file.part").stat().st_size == 123_456
    assert download(f"{server.url}/file", tmp_path / "file") == SHA256
    assert server.ranges_asked_for == [None, "bytes=123456-"]


def test_a_folder_that_may_not_be_written(server: FileServer, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:
        os.chown(tmp_path, 65534, 65534)
    try:
        os.seteuid(65534 if user == 0 else user)
        with pytest.raises(TailraceError, match=r"cannot write .*: Permission denied"):
            download(f"{server.url}/file", tmp_path / "file")
    finally:
        os.seteuid(user)


def test_a_folder_that_is_a_file(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(TailraceError, match=r"cannot write .*: Not a directory"):
        download(f"{server.url}/file", tmp_path / "taken" / "file")
