"""Raw samples in files: whole at the end, readable whatever happens before."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailrace.errors import TailraceError, UsageError
from tailrace.load.measure.samples import ABSENT, SAMPLE
from tailrace.load.worker.messages import SampleBatch
from tailrace.runs import run
from tailrace.runs.directory import delete
from tailrace.runs.run import SampleSink
from tailrace.runs.samples import COLUMNS, RawSamples, read_raw_samples
from tests.kit import cli
from tests.kit.plans import await_intervals

URLS = ["http://a/", 'http://b/,"x"']
KINDS = [".csv", ".parquet"]


def batch(count: int, reasons: list[str]) -> SampleBatch:
    """Every third request fails, by turns for each of the reasons, and was not sent."""
    rows = np.zeros(count, SAMPLE)
    numbers = np.arange(count)
    failed = numbers % 3 == 2
    rows["intended_ns"] = numbers * 1000
    rows["sent_ns"] = np.where(failed, ABSENT, numbers * 1000 + 1)
    rows["first_byte_ns"] = np.where(failed, ABSENT, numbers * 1000 + 2)
    rows["done_ns"] = numbers * 1000 + 3
    rows["status"] = np.where(failed, 0, 200)
    rows["bytes"] = numbers
    rows["failure"] = np.where(failed, numbers % len(reasons), ABSENT)
    rows["target"] = numbers % 2
    return SampleBatch(memoryview(rows.tobytes()), reasons)


async def filled(path: Path | None) -> SampleSink:
    """Two intervals of two workers, whose reasons are numbered differently."""
    sink = SampleSink(path)
    sink.open(URLS)
    sink.about = {"tailrace.seed": "7"}
    for _ in range(2):
        sink.add(0, batch(30, ["timeout: no answer", 'odd, "quoted"']))
        sink.add(1, batch(9, ['odd, "quoted"']))
        await sink.write()
    await sink.finish()
    assert sink.broken is None
    return sink


def as_table(samples: RawSamples) -> list[tuple[object, ...]]:
    return list(zip(*(samples[column].tolist() for column in COLUMNS), strict=True))


async def test_formats_hold_the_same(tmp_path: Path) -> None:
    kept = (await filled(None)).read()
    assert len(kept) == 78
    assert set(kept["failure"]) == {"", "timeout: no answer", 'odd, "quoted"'}
    assert set(kept["worker"]) == {0, 1}
    for kind in KINDS:
        path = tmp_path / f"samples{kind}"
        assert as_table((await filled(path)).read()) == as_table(kept)
        assert as_table(read_raw_samples(path)) == as_table(kept)
        assert {file.name for file in tmp_path.iterdir()} == {path.name}
        path.unlink()


async def test_any_reader_takes_the_files(tmp_path: Path) -> None:
    import pandas as pd

    await filled(tmp_path / "s.csv")
    await filled(tmp_path / "s.parquet")
    with (tmp_path / "s.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == COLUMNS
    assert [line["sent_ns"] == line["status"] == "" for line in lines[:4]] == [0, 0, 1, 0]
    read = pd.read_parquet(tmp_path / "s.parquet")
    assert list(read.columns) == list(COLUMNS)
    assert read["sent_ns"].isna().sum() == (read["failure"].notna()).sum() == 26
    assert set(read["target"]) == set(URLS)
    import pyarrow.parquet as pq

    assert pq.read_schema(tmp_path / "s.parquet").metadata[b"tailrace.seed"] == b"7"


async def test_a_table_has_na_for_what_there_is_not() -> None:
    table = (await filled(None)).read().to_pandas()
    assert table["sent_ns"].dtype == "Int64"
    assert table["sent_ns"].isna().equals(table["failure"].notna())
    assert table["status"].isna().equals(table["failure"].notna())
    assert not table[["intended_ns", "done_ns", "bytes", "worker", "target"]].isna().any(axis=None)


@pytest.mark.parametrize("kind", KINDS)
async def test_no_rows_are_a_file_too(tmp_path: Path, kind: str) -> None:
    sink = SampleSink(tmp_path / f"s{kind}")
    sink.open(URLS)
    await sink.finish()
    assert len(sink.read()) == 0
    sink.open(URLS)
    sink.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("s.txt", "raw samples go to a .parquet or .csv file, not to"),
        ("no/s.csv", "cannot write .*: No such file or directory"),
        ("no/s.parquet", "cannot write .*: No such file or directory"),
        ("left.parquet", "has the raw samples of a run that was killed"),
    ],
)
def test_a_file_that_cannot_be_is_said_beforehand(
    tmp_path: Path, name: str, complaint: str
) -> None:
    (tmp_path / "left.parquet.parts").mkdir()
    with pytest.raises(UsageError, match=complaint):
        SampleSink(tmp_path / name).open(URLS)


async def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = (await filled(None)).read()
    for module in ("pandas", "pyarrow"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=r"pip install 'tailrace\[arrow\]' .*ends in .csv"):
        SampleSink(tmp_path / "s.parquet")
    with pytest.raises(UsageError, match="pip install pandas"):
        samples.to_pandas()
    assert len((await filled(tmp_path / "s.csv")).read()) == len(samples)


async def test_a_disk_that_is_too_slow_fills_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_MOST_WAITING", 10_000)
    sink = SampleSink(tmp_path / "s.csv")
    sink.open(URLS)
    sink.add(0, batch(60, ["x"]))
    await sink.write()
    for _ in range(100):
        sink.add(0, batch(60, ["x"]))
    await sink.finish()
    assert sink.broken == f"cannot write raw samples to {sink.path}: it takes too long"
    assert len(sink.read()) == 60


KILLED_WRITING = """
import asyncio, resource, signal, sys
from pathlib import Path
import numpy as np
from tailrace.load.measure.samples import SAMPLE
from tailrace.load.worker.messages import SampleBatch
from tailrace.runs.run import SampleSink

async def write():
    sink = SampleSink(Path(sys.argv[1]))
    sink.open(["http://a/"])
    for count in (60, 6000):
        rows = np.zeros(count, SAMPLE)
        rows["bytes"] = np.arange(count)
        sink.add(0, SampleBatch(memoryview(rows.tobytes()), ["x"]))
        await sink.write()
        # The next time the kernel kills it in the middle of a file.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))

asyncio.run(write())
"""


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_were_cut_off_harm_no_others_and_go_with_their_run(
    tmp_path: Path, kind: str
) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    path = directory / f"s{kind}"
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITING, path], check=False)
    assert killed.returncode == -signal.SIGXFSZ
    samples = read_raw_samples(path)
    assert 60 <= len(samples) < 6060
    assert samples["bytes"][:60].tolist() == list(range(60))
    if kind == ".parquet":
        import pandas as pd

        assert len(pd.read_parquet(f"{path}.parts")) == 60
    delete(directory)
    assert not directory.exists()


LOADED_WRITING = """
import asyncio, sys
from pathlib import Path
import numpy as np
from tailrace.load.measure.samples import SAMPLE
from tailrace.load.worker.messages import SampleBatch
from tailrace.runs.run import SampleSink

async def write():
    sink = SampleSink(Path(sys.argv[1]))
    sink.open(["http://a/"])
    before = set(sys.modules)
    sink.add(0, SampleBatch(memoryview(np.zeros(60, SAMPLE).tobytes()), ["x"]))
    await sink.write()
    loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
    print(loaded - sys.stdlib_module_names or "nothing")

asyncio.run(write())
"""


@pytest.mark.parametrize("kind", KINDS)
def test_what_writes_is_loaded_before_load_flows(tmp_path: Path, kind: str) -> None:
    """To import pandas, say, keeps a core from the load workers for 0.2 s."""
    path = tmp_path / f"s{kind}"
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED_WRITING, path], check=True, capture_output=True, text=True
    )
    assert loaded.stdout == "nothing\n"


def test_a_line_that_was_cut_off_is_none(tmp_path: Path) -> None:
    line = "1,2,3,4,200,,9,http://a/,0\n"
    for lines, count in ((line * 2 + line[:9], 2), (line[:9], 0)):
        (tmp_path / "s.csv").write_text(",".join(COLUMNS) + "\n" + lines)
        assert len(read_raw_samples(tmp_path / "s.csv")) == count


def test_a_file_of_something_else_is_one_line(tmp_path: Path) -> None:
    for kind in KINDS:
        (tmp_path / f"s{kind}").write_bytes(b"a,b\n1,2\n" * 9)
        with pytest.raises(TailraceError, match="cannot read raw samples from"):
            read_raw_samples(tmp_path / f"s{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_killed_keeps_the_rows_of_its_intervals(
    serve: Any, tmp_path: Path, kind: str
) -> None:
    options = ("--out", "run", "--interval", "200ms", "--samples", f"s{kind}")
    process = cli.start(
        *("load", serve().url, "--for", "60s", *options),
        cwd=tmp_path,
        start_new_session=True,
        stdout=None,
        stderr=None,
    )
    timeline = tmp_path / "run" / "timeline.jsonl"
    await_intervals(timeline.parent, 4)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    points = [json.loads(line) for line in timeline.read_text().splitlines()]
    samples = read_raw_samples(tmp_path / f"s{kind}")
    # The last interval may have been written down and its rows not.
    assert len(samples) >= sum(point["completed"] for point in points[:-1]) > 0
    assert (samples["done_ns"] >= samples["sent_ns"]).all()
