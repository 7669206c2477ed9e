"""LoadGen's accuracy log: read as LoadGen writes it, and refused where it is broken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tailrace.errors import TailraceError
from tailrace.mlperf.accuracy_log import read_log


def test_a_log_that_is_cut_off(tmp_path: Path) -> None:
    record = np.ones(14, np.float32).tobytes().hex().upper()
    entries = [{"seq_id": i, "qsl_idx": i, "data": record} for i in range(4)]
    whole = json.dumps(entries).encode()
    log = tmp_path / "log.json"
    for end in (0, 1, 40, len(whole) // 2, len(whole) - 1):
        log.write_bytes(whole[:end])
        with pytest.raises(TailraceError, match=r"log\.json is truncated"):
            read_log(log, 4)
    log.write_bytes(whole)
    assert list(read_log(log, 4)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no records"),
        ("[\n]\n", "no records"),
        ("{}", "not an accuracy log"),
        ("[1]", "not an accuracy log"),
        ('[{"seq_id": 0, "qsl_idx": 0, "data": ""},]', "not an accuracy log"),
        ('[{"seq_id": 0, "qsl_idx": 0, "data": ""}] x', "not an accuracy log"),
        ('[{"seq_id": 0, "qsl_idx": 0}]', "not an accuracy log"),
        ('[{"seq_id": 0, "data": ""}]', "not an accuracy log"),
        ('[{"seq_id": 0, "qsl_idx": "0", "data": ""}]', "not an accuracy log"),
        ('[{"seq_id": 0, "qsl_idx": -1, "data": ""}]', "not an accuracy log"),
        ('[{"seq_id": 0, "qsl_idx": 4, "data": ""}]', "has sample 4, .* ends with 3"),
        ('[{"seq_id": 0, "qsl_idx": 1, "data": "000080F"}]', "sample 1 is not float32 in hex"),
        ('[{"seq_id": 0, "qsl_idx": 1, "data": "0000 803F"}]', "sample 1 is not float32 in hex"),
        ('[{"seq_id": 0, "qsl_idx": 1, "data": "0000803G"}]', "sample 1 is not float32 in hex"),
        ('[{"seq_id": 0, "qsl_idx": 1, "data": "0000é03F"}]', "sample 1 is not float32 in hex"),
        ('[{"seq_id": 0, "qsl_idx": 1, "data": "00008"}]', "sample 1 is not float32 in hex"),
        ('[{"seq_id": 0, "qsl_idx": 1, "data": "00803F"}]', "sample 1 is not float32 in hex"),
    ],
)
def test_a_log_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "log.json").write_text(text, encoding="utf-8")
    with pytest.raises(TailraceError, match=message):
        read_log(tmp_path / "log.json", 4)


def test_no_log(tmp_path: Path) -> None:
    with pytest.raises(TailraceError, match=r"there is no .*log\.json"):
        read_log(tmp_path / "log.json", 4)


def test_numbers_are_little_endian_float32(tmp_path: Path) -> None:
    text = '[{"seq_id": 0, "qsl_idx": 2, "data": "0000803f000020C1", "token_count": 1}]'
    (tmp_path / "log.json").write_text(text)
    (found,) = read_log(tmp_path / "log.json", 4).items()
    assert found[0] == 2
    assert found[1].dtype == np.float32
    assert found[1].tolist() == [1, -10]


LOADGEN = """
import sys
import mlperf_loadgen as lg
import numpy as np

def issue(samples):
    for sample in samples:
        record = np.array([sample.index, 0.5][: sample.index], np.float32)
        response = lg.QuerySampleResponse(sample.id, record.ctypes.data, record.nbytes)
        lg.QuerySamplesComplete([response])

settings = lg.TestSettings()
settings.scenario = lg.TestScenario.Offline
settings.mode = lg.TestMode.AccuracyOnly
output = lg.LogOutputSettings()
output.outdir = sys.argv[1]
logs = lg.LogSettings()
logs.log_output = output
logs.enable_trace = False
sut = lg.ConstructSUT(issue, lambda: None)
qsl = lg.ConstructQSL(3, 3, lambda indices: None, lambda indices: None)
lg.StartTestWithLogSettings(sut, qsl, settings, logs)
"""


def test_a_log_of_loadgens_own(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOADGEN, str(tmp_path)]
    subprocess.run(command, check=True, timeout=60, cwd=tmp_path, capture_output=True)
    records = read_log(tmp_path / "mlperf_log_accuracy.json", 3)
    assert {i: r.tolist() for i, r in records.items()} == {0: [], 1: [1], 2: [2, 0.5]}
