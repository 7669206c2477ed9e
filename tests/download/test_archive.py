"""Files out of archives, whole and broken."""

import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from tailrace.download import extract
from tailrace.errors import TailraceError

CONTENT = random.Random(1).randbytes(300_000)
MEMBERS = {"models/deep/graph.pb": CONTENT, "models/labels.txt": b"cat\n", "README": b"read\n"}


@pytest.fixture(params=["zip", "tar.gz"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"archive.{request.param}"
    if request.param == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.mkdir("models")
            for name, data in MEMBERS.items():
                packed.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz") as packed:
            folder = tarfile.TarInfo("models")
            folder.type = tarfile.DIRTYPE
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
            for info in (folder, link):
                packed.addfile(info)
            for name, data in MEMBERS.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                packed.addfile(info, io.BytesIO(data))
    return path


def test_members(archive: Path, tmp_path: Path) -> None:
    for name, data in MEMBERS.items():
        to = tmp_path / "out" / name.replace("/", "-")
        extract(archive, name, to)
        assert to.read_bytes() == data
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize(
    ("member", "named"),
    [
        ("graph.pb", "it has models/deep/graph.pb$"),
        ("models/lables.txt", "it has models/labels.txt"),
        ("zzz", "it has models/deep/graph.pb, models/labels.txt, README$"),
        ("models", "it has"),
        ("link", "it has"),
        ("../../etc/hostname", "it has"),
    ],
)
def test_a_missing_member_names_near_ones(
    archive: Path, tmp_path: Path, member: str, named: str
) -> None:
    with pytest.raises(TailraceError, match=f"has no {member}; {named}"):
        extract(archive, member, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == [archive.name]


def test_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    """A name that climbs out of its archive goes where the caller said, and only there."""
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../../escaped", b"data")
    extract(archive, "../../escaped", tmp_path / "in" / "here" / "file")
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["a.zip", "file"]


def test_a_broken_archive_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    out = tmp_path / "out"
    for broken in (b"", whole[:100], whole[: len(whole) // 2], b"no archive at all" * 99):
        archive.write_bytes(broken)
        with pytest.raises(TailraceError, match="is broken, or neither"):
            extract(archive, "models/deep/graph.pb", out)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    archive.write_bytes(damaged)
    with pytest.raises(TailraceError, match="is broken"):
        extract(archive, "models/deep/graph.pb", out)
    assert [file.name for file in tmp_path.iterdir()] == [archive.name]
    with pytest.raises(TailraceError, match="there is no archive"):
        extract(tmp_path / "absent.zip", "a", out)
