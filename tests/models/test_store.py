"""Where the models' files lie, and how they come there; the server is real, on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace.errors import TailraceError, UsageError
from tailrace.models import store, zoo
from tailrace.models.zoo.spec import Format, ModelSpec, RemoteFile
from tests.kit.files import FileServer, tar_gz, zipped

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
MEMBER = "folder/model.pb"
SPEC = zoo.find("ssd-mobilenet")
AT_ONCE = 4

# What each of several processes does at the same time, once told to: argv is the address of an
# archive, or nothing to build the twin.
CHILD = """
import dataclasses, sys
from tailrace.models import store, zoo
from tailrace.models.zoo.spec import RemoteFile
spec = zoo.find("ssd-mobilenet")
print("ready", flush=True)
sys.stdin.readline()
if sys.argv[1:]:
    remote = RemoteFile(sys.argv[1], member=sys.argv[2])
    print(store.fetch(spec, dataclasses.replace(spec.formats[0], file=remote)))
else:
    print(store.twin_file(spec, print))
"""


@pytest.fixture
def server() -> Iterator[FileServer]:
    served = FileServer()
    yield served
    served.close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory, which is not there yet."""
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _with_file(remote: RemoteFile | None) -> tuple[ModelSpec, Format]:
    form = dataclasses.replace(SPEC.formats[0], file=remote)
    return dataclasses.replace(SPEC, formats=(form,)), form


MEMBERS = {"folder/other.txt": b"other", MEMBER: CONTENT}


def _names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_embedded_file_is_there() -> None:
    file = store.model_file(zoo.find("shapes"))
    assert file is not None
    assert file.stat().st_size > 1_000_000


def test_null_has_no_file() -> None:
    assert store.model_file(zoo.find("null")) is None


def test_given_file_comes_first(tmp_path: Path) -> None:
    file = tmp_path / "a.onnx"
    file.touch()
    assert store.model_file(zoo.find("shapes"), file) == file
    with pytest.raises(UsageError, match="no model file"):
        store.model_file(zoo.find("shapes"), tmp_path / "b.onnx")
    with pytest.raises(UsageError, match="no model file"):
        store.model_file(zoo.find("shapes"), tmp_path)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("name", "runtime", "advice"),
    [
        (
            "ssd-mobilenet",
            "onnx",
            (
                "ssd-mobilenet needs its file: tailrace models fetch ssd-mobilenet, or "
                "--model-path FILE, or --twin for its cost alone"
            ),
        ),
        ("mobilenet", "onnx", "tailrace models fetch mobilenet, or --model-path FILE"),
        ("resnet50", "tensorflow", "tailrace models fetch resnet50 --runtime tensorflow, or"),
        ("retinanet", "tensorflow", "retinanet has no form for --runtime tensorflow"),
        ("shapes", "tensorflow", "shapes has no form for --runtime tensorflow"),
    ],
)
def test_what_is_not_there_is_asked_for(name: str, runtime: str, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        store.model_file(zoo.find(name), runtime=runtime)
    assert advice in str(caught.value)


def test_fetched_once_and_noted(server: FileServer, cache: Path) -> None:
    url = server.add("model.onnx", CONTENT)
    spec, form = _with_file(RemoteFile(url, md5=MD5))
    steps: list[tuple[int, int | None]] = []
    file = store.fetch(spec, form, lambda done, total: steps.append((done, total)))
    assert file == cache / "models" / "ssd-mobilenet" / "model.onnx"
    assert file.read_bytes() == CONTENT
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert store.recorded_sha256(file) == SHA256
    assert store.model_file(spec) == file
    assert store.fetch(spec, form) == file
    assert server.asked == ["/model.onnx"]
    assert _names(file.parent) == {"model.onnx", "model.onnx.sha256"}


def test_the_note_is_one_that_sha256sum_checks(server: FileServer, cache: Path) -> None:
    spec, form = _with_file(RemoteFile(server.add("model.onnx", CONTENT)))
    file = store.fetch(spec, form)
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "model.onnx.sha256"], cwd=file.parent, check=True
    )


def test_a_note_that_was_lost_is_made_again(server: FileServer, cache: Path) -> None:
    spec, form = _with_file(RemoteFile(server.add("model.onnx", CONTENT)))
    file = store.fetch(spec, form)
    file.with_name("model.onnx.sha256").unlink()
    assert store.recorded_sha256(file) is None
    store.fetch(spec, form)
    assert store.recorded_sha256(file) == SHA256
    assert server.asked == ["/model.onnx"]


@pytest.mark.parametrize(
    ("content", "asked"), [(CONTENT, []), (CONTENT[1:], ["/model.onnx"])], ids=["right", "wrong"]
)
def test_a_file_put_there_by_hand_is_kept_if_it_is_right(
    server: FileServer, cache: Path, content: bytes, asked: list[str]
) -> None:
    remote = RemoteFile(server.add("model.onnx", CONTENT), md5=MD5)
    spec, form = _with_file(remote)
    file = store.fetched_file(spec, remote)
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert store.fetch(spec, form) == file
    assert file.read_bytes() == CONTENT
    assert store.recorded_sha256(file) == SHA256
    assert server.asked == asked


@pytest.mark.parametrize(("name", "pack"), [("all.tar.gz", tar_gz), ("all.zip", zipped)])
def test_archives_give_up_their_one_file(
    server: FileServer, cache: Path, name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    spec, form = _with_file(RemoteFile(server.add(name, pack(MEMBERS)), member=MEMBER))
    file = store.fetch(spec, form)
    assert file.read_bytes() == CONTENT
    assert store.recorded_sha256(file) == SHA256
    assert _names(file.parent) == {"model.pb", "model.pb.sha256"}


def test_an_archive_without_the_file_says_what_it_has(server: FileServer, cache: Path) -> None:
    spec, form = _with_file(
        RemoteFile(server.add("all.zip", zipped(MEMBERS)), member="elsewhere/model.pb")
    )
    with pytest.raises(TailraceError, match=f"has no elsewhere/model.pb; it has {MEMBER}"):
        store.fetch(spec, form)
    with pytest.raises(UsageError, match="needs its file"):
        store.model_file(spec)


def test_a_wrong_file_is_not_kept(server: FileServer, cache: Path) -> None:
    spec, form = _with_file(RemoteFile(server.add("model.onnx", CONTENT[1:]), md5=MD5))
    with pytest.raises(TailraceError, match=f"expected {MD5}"):
        store.fetch(spec, form)
    assert _names(cache / "models" / "ssd-mobilenet") == set()


def test_what_is_not_published_cannot_be_fetched(cache: Path) -> None:
    spec, form = _with_file(None)
    with pytest.raises(UsageError, match="no file to fetch"):
        store.fetch(spec, form)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").touch()
    monkeypatch.setenv("TAILRACE_CACHE", str(tmp_path / "cache"))
    spec, form = _with_file(RemoteFile(server.add("model.onnx", CONTENT)))
    with pytest.raises(TailraceError, match="cannot write"):
        store.fetch(spec, form)
    with pytest.raises(TailraceError, match="cannot write"):
        store.twin_file(SPEC)


@pytest.mark.usefixtures("cache")
def test_first_of_a_runtimes_formats_is_preferred(server: FileServer) -> None:
    spec = zoo.find("ssd-resnet34")
    urls = [server.add(name, CONTENT) for name in ("first.onnx", "second.onnx", "third.pb")]
    formats = tuple(
        dataclasses.replace(form, file=RemoteFile(url))
        for form, url in zip(spec.formats, urls, strict=True)
    )
    spec = dataclasses.replace(spec, formats=formats)
    third = store.fetch(spec, formats[2])
    with pytest.raises(UsageError, match="needs its file"):
        store.model_file(spec)
    second = store.fetch(spec, formats[1])
    assert store.model_file(spec) == second
    assert store.model_file(spec, runtime="tensorflow") == third
    first = store.fetch(spec, formats[0])
    assert store.model_file(spec) == first


def _twin_of(write: Callable[[Path], None]) -> ModelSpec:
    return dataclasses.replace(SPEC, formats=(dataclasses.replace(SPEC.formats[0], twin=write),))


def test_twin_is_built_once(cache: Path) -> None:
    built: list[Path] = []

    def write(file: Path) -> None:
        built.append(file)
        file.write_bytes(CONTENT)

    said: list[str] = []
    spec = _twin_of(write)
    file = store.model_file(spec, twin=True, say=said.append)
    assert file == store.twin_path(spec)
    assert file.parent == cache / "twins"
    assert file.read_bytes() == CONTENT
    assert store.model_file(spec, twin=True, say=said.append) == file
    assert len(built) == 1
    assert said == ["building the twin of ssd-mobilenet, once ..."]
    assert _names(cache / "twins") == {file.name}


def test_twin_that_was_not_finished_is_not_there(cache: Path) -> None:
    def broken(file: Path) -> None:
        file.write_bytes(CONTENT[:1000])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.twin_file(_twin_of(broken))
    assert _names(cache / "twins") == set()
    file = store.twin_file(_twin_of(lambda file: file.write_bytes(CONTENT) and None))
    assert file.read_bytes() == CONTENT


def test_twins_that_there_are_not(cache: Path) -> None:
    with pytest.raises(UsageError, match="retinanet has no twin"):
        store.model_file(zoo.find("retinanet"), twin=True)
    with pytest.raises(UsageError, match="twin of resnet50 is for --runtime onnx"):
        store.model_file(zoo.find("resnet50"), twin=True, runtime="tensorflow")
    assert not cache.exists()


def _at_once(*arguments: str) -> list[list[str]]:
    """What several processes print that do the same at the same time."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(AT_ONCE)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0] * AT_ONCE
    return printed


def test_processes_that_want_the_same_archive_fetch_it_once(
    server: FileServer, cache: Path
) -> None:
    printed = _at_once(server.add("all.tar.gz", tar_gz(MEMBERS)), MEMBER)
    file = cache / "models" / "ssd-mobilenet" / "model.pb"
    assert printed == [[str(file)]] * AT_ONCE
    assert file.read_bytes() == CONTENT
    assert server.asked == ["/all.tar.gz"]
    assert _names(file.parent) == {"model.pb", "model.pb.sha256"}


def test_processes_that_want_the_same_twin_build_it_once(cache: Path) -> None:
    printed = _at_once()
    file = store.twin_path(SPEC)
    assert {lines[-1] for lines in printed} == {str(file)}
    assert sum(len(lines) - 1 for lines in printed) == 1, "one of them says that it builds it"
    assert _names(cache / "twins") == {file.name}
