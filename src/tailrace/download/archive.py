"""Single files out of archives."""

from __future__ import annotations

import contextlib
import difflib
import os
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from gzip import BadGzipFile
from pathlib import Path
from typing import IO

from tailrace.download.part import claimed, part_of, settle, unwritable, write
from tailrace.errors import TailraceError

_CHUNK = 1 << 20
# RuntimeError and NotImplementedError: encrypted, or packed in a way that Python cannot undo.
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, BadGzipFile, EOFError, zlib.error),
    *(RuntimeError, NotImplementedError),
)


def extract(archive: Path, member: str, to: Path) -> None:
    """Takes the file `member` out of a .zip or .tar.gz into the file `to`, whole or not at all.

    Raises:
        TailraceError: there is no such member (the message names near ones), the archive is broken,
            or `to` cannot be written.
    """
    if not archive.is_file():
        raise TailraceError(f"there is no archive {archive}")
    try:
        with _opened(archive, member) as source, claimed(to) as descriptor:
            with contextlib.ExitStack() as undo:
                undo.callback(part_of(to).unlink)
                os.ftruncate(descriptor, 0)
                while chunk := source.read(_CHUNK):
                    write(descriptor, chunk)
                undo.pop_all()
            settle(descriptor, to)
    except _BROKEN as error:
        raise TailraceError(f"{archive} is broken, or neither .zip nor .tar.gz") from error
    except OSError as error:
        raise unwritable(to, error) from error


@contextlib.contextmanager
def _opened(archive: Path, member: str) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            names = [info.filename for info in zipped.infolist() if not info.is_dir()]
            _check(member, names, archive)
            with zipped.open(member) as source:
                yield source
    else:
        with tarfile.open(archive) as tarred:
            files = {info.name: info for info in tarred if info.isfile()}
            # gzip compares its checksum at the very end, which lies behind that of the tar.
            while tarred.fileobj is not None and tarred.fileobj.read(_CHUNK):
                pass
            _check(member, files, archive)
            found = tarred.extractfile(files[member])
            assert found is not None, "isfile() said so"
            yield found


def _check(member: str, names: Collection[str], archive: Path) -> None:
    if member in names:
        return
    base = member.rpartition("/")[2]
    near = [name for name in names if name.rpartition("/")[2] == base]
    near = near or difflib.get_close_matches(member, names) or list(names)
    raise TailraceError(f"{archive} has no {member}; it has {', '.join(near[:3]) or 'no files'}")
