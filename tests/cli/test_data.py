"""`tailrace data` as its user meets it: files, streams, exit codes, Ctrl-C and worse."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from tailrace.datasets import shapes
from tailrace.datasets.coco import CocoDataset
from tailrace.datasets.prepare import prepare
from tailrace.download.part import claimed
from tests.kit import cli
from tests.kit.files import CocoServer, StoppedError, stop_at
from tests.kit.terminal import drained
from tests.kit.waiting import TIMEOUT_S

TERMINAL = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    folder = tmp_path / "drawn"
    shapes.generate(folder, count=5, seed=0)
    return folder


@pytest.fixture
def server(drawn: Path) -> Iterator[CocoServer]:
    server = CocoServer(drawn)
    yield server
    server.close()


def data(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return cli.run_here("data", *words, cwd=cwd)


def test_fetch(server: CocoServer, tmp_path: Path) -> None:
    finished = data(
        "fetch", "coco-val2017", "coco", "--count", 2, "--from", server.url, cwd=tmp_path
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == (
        "2 pictures in coco, annotations in coco/annotations/instances_val2017.json\n"
    )
    assert len(CocoDataset.open(tmp_path / "coco").images) == 2


def test_fetch_goes_to_the_cache(
    server: CocoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path / "cache"))
    finished = data("fetch", "coco-val2017", "--count", 1, "--from", server.url, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert len(CocoDataset.open(tmp_path / "cache/datasets/coco-val2017").images) == 1


def test_ctrl_c_ends_a_fetch_at_once_and_the_next_goes_on(
    server: CocoServer, tmp_path: Path
) -> None:
    """Even while the server says nothing."""
    server.held, server.hold_at = "/val2017/000000000003.jpg", 0
    words = ("fetch", "coco-val2017", tmp_path / "coco", "--count", 5, "--from", server.url)
    process = cli.start("data", *words)
    assert server.holding.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, err
    assert out == ""
    assert err.strip() == "tailrace: interrupted: run the same command again to go on"
    had = {file.name for file in (tmp_path / "coco/val2017").glob("*.jpg")}
    assert len(had) <= 4
    server.go.set()
    server.forget()
    assert data(*words, cwd=tmp_path).returncode == 0
    assert not had & {path.rpartition("/")[2] for path in server.asked}
    assert not any("zip" in path for path in server.asked)
    assert len(CocoDataset.open(tmp_path / "coco").images) == 5


def test_prepare(drawn: Path, tmp_path: Path) -> None:
    words = ("prepare", "drawn", "out", "--size", 60, 40, "--format", "jpg")
    finished = data(*words, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "5 pictures resized, 0 there already, in out\n"
    images = CocoDataset.open(tmp_path / "out").images
    assert {cv2.imread(str(image.file)).shape for image in images} == {(40, 60, 3)}
    assert data(*words, cwd=tmp_path).stdout == "0 pictures resized, 5 there already, in out\n"


def test_prepare_names_broken_pictures_and_exits_1(drawn: Path, tmp_path: Path) -> None:
    broken = drawn / "val2017" / "000000000002.jpg"
    broken.write_bytes(broken.read_bytes()[:-500])
    finished = data("prepare", "drawn", "out", "--size", 60, 40, cwd=tmp_path)
    assert finished.returncode == 1
    assert finished.stdout == "4 pictures resized, 0 there already, in out\n"
    assert finished.stderr.split("\n")[-3:] == [
        "000000000002.jpg is truncated: its end is missing",
        "tailrace: error: 1 broken pictures left out",
        "",
    ]
    assert len(CocoDataset.open(tmp_path / "out").images) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_prepare_goes_on_without_doing_it_again(
    drawn: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Its third picture is claimed by this process, so there it waits until it is stopped."""
    out = tmp_path / "out"
    words = ("prepare", drawn, out, "--size", 30, 30, "--workers", 1)
    with pytest.raises(StoppedError):
        prepare(drawn, out, (30, 30), "png", progress=stop_at(0))
    with claimed(out / "val2017" / "000000000003.png"):
        terminal, stderr = os.openpty()
        process = cli.start(
            *("data", *words), stdout=subprocess.DEVNULL, stderr=stderr, env=TERMINAL
        )
        os.close(stderr)
        shown = b""
        while b"2 of 5" not in shown:
            shown += os.read(terminal, 4096)
        process.send_signal(number)
        assert process.wait(TIMEOUT_S) == (130 if number == signal.SIGINT else -number)
        shown = drained(terminal)
    if number == signal.SIGINT:
        assert b"interrupted: run the same command again to go on" in shown
    folder = out / "val2017"
    first = {file: file.stat().st_mtime_ns for file in folder.glob("*.png")}
    assert [file.name for file in sorted(first)] == ["000000000001.png", "000000000002.png"]
    assert not (out / "annotations").exists()
    assert data(*words, cwd=tmp_path).stdout.startswith("3 pictures resized, 2 there already")
    assert {file: file.stat().st_mtime_ns for file in first} == first
    assert sorted(file.name for file in folder.iterdir()) == [
        f"00000000000{number}.png" for number in range(1, 6)
    ]
    assert len(CocoDataset.open(out).images) == 5


def test_generate(tmp_path: Path) -> None:
    words = ("generate", "shapes", "new", "--count", 4, "--seed", 9, "--format", "png")
    finished = data(*words, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("4 pictures in new")
    assert len(list((tmp_path / "new/val2017").glob("*.png"))) == 4
    assert len(CocoDataset.open(tmp_path / "new").images) == 4


def test_generate_refuses_a_directory_with_files(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    refused = data("generate", "shapes", ".", "--count", 1, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == (
        "tailrace: error: . is not empty; name another directory, or add --force\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]
    assert data("generate", "shapes", ".", "--count", 1, "--force", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("prepare",), "Missing argument"),
        (("fetch", "coco-val2016"), "'coco-val2016' is not"),
        (("fetch", "coco-val2017", "d", "--count", "0"), "--count"),
        (("fetch", "coco-val2017", "d", "--from", "nowhere"), "is not an http or https URL"),
        (("prepare", "absent", "out", "--size", "3", "3"), "absent has neither"),
        (("prepare", "absent", "out"), "--size"),
        (("prepare", "absent", "out", "--size", "3"), "--size"),
        (("prepare", "absent", "out", "--size", "3", "0"), "1 to 65,500 px"),
        (("prepare", "absent", "out", "--size", "3", "3", "--format", "gif"), "--format"),
        (("generate", "shapes"), "Missing argument"),
        (("generate", "dogs", "drawn"), "'dogs' is not"),
        (("generate", "shapes", "drawn", "--count", "0"), "--count"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(
    tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    finished = data(*words, cwd=tmp_path)
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith("tailrace: error: ")
    assert complaint in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("fetch", "tailrace data fetch coco-val2017 --count 100"),
        ("prepare", "tailrace data prepare coco coco-300 --size 300 300"),
        ("generate", "tailrace data generate shapes drawn --count 500"),
    ],
)
def test_each_command_shows_an_example(tmp_path: Path, name: str, example: str) -> None:
    shown = data(name, "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert example in " ".join(shown.stdout.split())
