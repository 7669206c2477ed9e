import os
import resource
import threading
from pathlib import Path

import pytest

from tailrace.errors import UsageError
from tailrace.load.client import bodies
from tailrace.load.client.bodies import read_bodies, text_body
from tailrace.load.client.request import Body


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
    with pytest.raises(UsageError, match="it is a device, not a file"):
        read_bodies(Path(device))
    (tmp_path / "link").symlink_to(device)
    with pytest.raises(UsageError, match="it is a device, not a file"):
        read_bodies(tmp_path)


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(UsageError, match="it is a FIFO, not a file"):
            read_bodies(path)


def test_the_size_is_looked_at_before_anything_is_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match="too much to send: bodies may take 1,024 MiB together"):
        read_bodies(tmp_path / "sparse")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_all_together_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_BYTES", 10_000)
    monkeypatch.setattr(bodies, "MAX_FILES", 7)
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
