"""Runs that somebody else has written: whatever is in their files, they are listed and compared, or
refused in a line.
"""

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.control.faces.rpc.codec import codec
from tailrace.errors import TailraceError, UsageError
from tailrace.report.page import make_page
from tailrace.report.subject import find_directory
from tailrace.runs.compare.compare import compare
from tailrace.runs.listing import RunInfo, RunRecord, SearchInfo, list_runs, list_searches, read_run
from tests.kit.hostile import device, link, sparse
from tests.kit.samples import FOUND

EXAMPLES = 15
JSON = ("run.json", "result.json", "timeline.jsonl")

scalars = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        2**31,
        2**53,
        2**63,
        2**64,
        10**400,
        -(10**30),
        1e-300,
        1e300,
        -1e300,
        0.5,
        "",
        "x",
        "NaN",
        "p99<1ms",
        "p0<1s",
        "\0\x1b[31m<script>",
        "é" * 5000,
        "2026-01-01T00:00:00Z",
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything within a document."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else items:
        yield from places(item, (*path, key))


@st.composite
def edits(draw: st.DrawFn, document: Any) -> Any:
    """The document with some of its values replaced, left out, or put where others were."""
    edited = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 4))):
        *way, last = draw(st.sampled_from(sorted(places(edited), key=str)))
        holder = edited
        for key in way:
            holder = holder[key]
        if draw(st.integers(0, 4)) == 0:
            del holder[last]
        elif isinstance(holder, dict) and draw(st.integers(0, 4)) == 0:
            holder[draw(st.text(max_size=4) | st.just("-1") | st.just("99999"))] = holder.pop(last)
        else:
            holder[last] = draw(values)
        if not list(places(edited)):
            break
    return edited


@st.composite
def damage(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes, some of them changed."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(changed)))
        length = draw(st.integers(0, 5))
        changed[at : at + length] = draw(
            st.binary(max_size=3)
            | st.sampled_from(
                [b"\xff", b"\xef\xbb\xbf", b"\n", b"\r", b"[" * 100_000, b"\0" * 2**21]
            )
        )
    end = draw(st.sampled_from([None, None, None, 0, 1, len(changed) // 2]))
    return bytes(changed[:end])


def put(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def looked_at(base: Path, *names: str) -> None:
    """Has all that reads runs read these: each answers, or refuses in a line."""
    infos = list_runs(base)
    assert set(names) <= {info.name for info in infos}
    for info in infos:
        # One run that cannot be sent would keep all others from being listed.
        codec(RunInfo).encode(info)
        assert all("\n" not in problem for problem in info.problems)
        assert (info.state == "broken") == bool(info.problems)
    assert msgspec.json.decode(msgspec.json.encode(infos), type=tuple[RunInfo, ...]) == infos
    for name in names:
        record = read_run(base, name)
        msgspec.json.encode(record)
        tried(lambda record=record: codec(RunRecord).encode(record))
    tried(lambda: make_page([base / names[-1]]))
    tried(lambda: make_page([base / name for name in names]))
    tried(lambda: compare([base / names[0]], [base / names[-1]]))


def tried(act: Callable[[], Any]) -> None:
    try:
        act()
    except TailraceError as error:
        line = str(error)
    else:
        return
    assert "\n" not in line


@pytest.mark.slow("hundreds of documents made up")
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_edited_documents_stop_nobody(runs: Path, tmp_path_factory: Any, data: Any) -> None:
    base = tmp_path_factory.mktemp("runs")
    shutil.copytree(runs / "fast", base / "whole")
    shutil.copytree(runs / "fast", base / "edited")
    name = data.draw(st.sampled_from(JSON))
    file = base / "edited" / name
    if name == "timeline.jsonl":
        lines = file.read_bytes().splitlines()
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(lines) - 1))
            lines[at] = json.dumps(data.draw(edits(json.loads(lines[at])))).encode()
        content = b"\n".join(lines)
    else:
        content = json.dumps(data.draw(edits(json.loads(file.read_bytes())))).encode()
    put(file, content)
    if data.draw(st.booleans()):
        (base / "edited" / "result.json").unlink(missing_ok=True)
    looked_at(base, "whole", "edited")


@pytest.mark.slow("hundreds of documents made up")
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_damaged_files_stop_nobody(runs: Path, tmp_path_factory: Any, data: Any) -> None:
    base = tmp_path_factory.mktemp("runs")
    shutil.copytree(runs / "fast", base / "whole")
    shutil.copytree(runs / "slow", base / "damaged")
    for name in data.draw(st.sets(st.sampled_from((*JSON, "latency.hlog")), min_size=1)):
        file = base / "damaged" / name
        put(file, data.draw(damage(file.read_bytes())))
    if data.draw(st.booleans()):
        (base / "damaged" / "result.json").unlink(missing_ok=True)
    looked_at(base, "whole", "damaged")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def deep(path: Path) -> None:
    path.write_bytes(b'{"a":' * 50_000)


@pytest.mark.parametrize("make", [pipe, link, device, sparse, Path.mkdir, deep])
def test_what_is_no_file_stops_nobody(
    runs: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    names = (*JSON, "latency.hlog", "label.json")
    for name in names:
        shutil.copytree(runs / "fast", tmp_path / name)
        (tmp_path / name / name).unlink(missing_ok=True)
        make(tmp_path / name / name)
    looked_at(tmp_path, *names)
    for name in names:
        info = read_run(tmp_path, name).info
        if name in ("run.json", "result.json") or (name != "label.json" and make is not deep):
            assert info.state == "broken"
            assert info.problems[0].startswith(f"{name} cannot be read: ")


@pytest.mark.parametrize("make", [pipe, link, device, sparse, Path.mkdir, deep])
def test_a_search_that_cannot_be_read_is_refused_in_a_line(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    search = tmp_path / "search"
    search.mkdir()
    make(search / "find.json")
    with pytest.raises(UsageError) as raised:
        make_page([find_directory(str(search))])
    assert "\n" not in str(raised.value)
    assert [found.ended_by for found in list_searches(tmp_path)] == ["broken"]


@settings(max_examples=EXAMPLES)
@given(edits(msgspec.to_builtins(FOUND)))
def test_edited_searches_stop_nobody(tmp_path_factory: Any, document: Any) -> None:
    search = tmp_path_factory.mktemp("search")
    (search / "find.json").write_text(json.dumps(document))
    for info in list_searches(search.parent):
        msgspec.json.encode(info)
        codec(SearchInfo).encode(info)
    tried(lambda: make_page([search]))
