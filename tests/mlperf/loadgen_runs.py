"""Logs of the real LoadGen: each test in a process of its own, as LoadGen wants it; once a session.

Run as a script, it is that process.
"""

from __future__ import annotations

import array
import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PERFORMANCE = ("single-stream", "multi-stream", "server", "offline")
ACCURACY_RUNS = tuple(f"{name}-accuracy" for name in PERFORMANCE)
SAMPLES = 300
LOADED = 256
NAME = "Some Network SUT"
FILES = (
    "mlperf_log_detail.txt",
    "mlperf_log_summary.txt",
    "mlperf_log_accuracy.json",
    "mlperf_log_trace.json",
)
RECORD = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]

# Bounds that a busy machine keeps, and loads that it cannot: none of these hangs on its speed.
RUNS: dict[str, dict[str, Any]] = {
    "single-stream": {
        "scenario": "SingleStream",
        "conf": ["min_duration = 100", "target_latency = 0.2"],
        "wait_s": 3e-4,
    },
    "multi-stream": {
        "scenario": "MultiStream",
        "conf": ["min_duration = 100", "target_latency = 0.1"],
        "wait_s": 1e-4,
    },
    "server": {
        "scenario": "Server",
        "conf": ["min_duration = 100", "target_latency = 5000", "target_qps = 6000"],
    },
    "offline": {
        "scenario": "Offline",
        "conf": ["min_duration = 100", "target_qps = 1000"],
        "wait_s": 0.15,
    },
    "slow-server": {
        "scenario": "Server",
        "conf": ["min_duration = 100", "target_latency = 1", "target_qps = 2000"],
        "wait_s": 2e-3,
    },
    "find-peak": {
        "scenario": "Server",
        "mode": "FindPeakPerformance",
        "conf": [
            "min_duration = 100",
            "min_query_count = 500",
            "target_latency = 50",
            "target_qps = 1000",
        ],
        "wait_s": 2.5e-4,
    },
    "no-peak": {
        "scenario": "Server",
        "mode": "FindPeakPerformance",
        "conf": ["min_duration = 50", "target_latency = 1", "target_qps = 2000"],
        "wait_s": 2e-3,
    },
    "single-stream-accuracy": {"scenario": "SingleStream", "mode": "AccuracyOnly"},
    "multi-stream-accuracy": {"scenario": "MultiStream", "mode": "AccuracyOnly"},
    "server-accuracy": {
        "scenario": "Server",
        "mode": "AccuracyOnly",
        "conf": ["target_qps = 5000"],
    },
    "offline-accuracy": {"scenario": "Offline", "mode": "AccuracyOnly"},
    "traced": {
        "scenario": "SingleStream",
        "conf": ["min_duration = 0", "min_query_count = 20"],
        "trace": True,
    },
    "killed": {
        "scenario": "Server",
        "mode": "AccuracyOnly",
        "conf": ["target_qps = 1000"],
        "die_at": 200,
    },
}


@functools.cache
def _root() -> Path:
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return Path(folder.name)


@functools.cache
def logs_of(name: str) -> Path:
    """The folder with the logs of one of `RUNS`: not to be changed."""
    folder = _root() / name
    folder.mkdir()
    asked = json.dumps({**RUNS[name], "folder": str(folder)})
    done = subprocess.run([sys.executable, __file__, asked], timeout=120, check=False)
    assert done.returncode == (-signal.SIGKILL if "die_at" in RUNS[name] else 0)
    return folder


def settings_of(model: str, scenario: str, conf: str, folder: Path) -> dict[str, Any]:
    """The settings that LoadGen makes of a user.conf, by their names in its Python module."""
    file = folder / f"{model}-{scenario}.conf"
    file.write_text(conf)
    asked = json.dumps({"model": model, "scenario": scenario, "conf_file": str(file)})
    done = subprocess.run(
        [sys.executable, __file__, asked], timeout=120, check=True, capture_output=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _read_settings(asked: dict[str, Any]) -> None:
    import mlperf_loadgen as lg

    settings = lg.TestSettings()
    assert settings.FromConfig(asked["conf_file"], asked["model"], asked["scenario"], 1) == 0
    names = [name for name in dir(settings) if not name.startswith("_") and name.islower()]
    values = {name: getattr(settings, name) for name in names}
    sys.stdout.write(json.dumps({k: v for k, v in values.items() if isinstance(v, int | float)}))


def _run(asked: dict[str, Any]) -> None:
    import mlperf_loadgen as lg

    folder, scenario = Path(asked["folder"]), asked["scenario"]
    conf = folder / "user.conf"
    lines = asked.get("conf", [])
    conf.write_text("".join(f"*.{scenario}.{line}\n" for line in lines) or "# none\n")
    settings = lg.TestSettings()
    assert settings.FromConfig(str(conf), "ssd-mobilenet", scenario, 1) == 0
    settings.scenario = getattr(lg.TestScenario, scenario)
    settings.mode = getattr(lg.TestMode, asked.get("mode", "PerformanceOnly"))
    settings.server_find_peak_qps_decimals_of_precision = 0
    output = lg.LogOutputSettings()
    output.outdir = str(folder)
    logs = lg.LogSettings()
    logs.log_output = output
    logs.enable_trace = asked.get("trace", False)
    record = array.array("f", RECORD)
    address, size = record.buffer_info()[0], len(record) * record.itemsize
    answered = 0

    def issue(queries: list[Any]) -> None:
        nonlocal answered
        if asked.get("wait_s"):
            time.sleep(asked["wait_s"])
        lg.QuerySamplesComplete([lg.QuerySampleResponse(q.id, address, size) for q in queries])
        answered += len(queries)
        if answered >= asked.get("die_at", answered + 1):
            os.kill(os.getpid(), signal.SIGKILL)

    sut = lg.ConstructQDL(issue, lambda: None, lambda: NAME)
    qsl = lg.ConstructQSL(SAMPLES, LOADED, lambda _: None, lambda _: None)
    lg.StartTestWithLogSettings(sut, qsl, settings, logs, "")
    lg.DestroyQSL(qsl)
    lg.DestroyQDL(sut)


if __name__ == "__main__":
    _asked = json.loads(sys.argv[1])
    if "conf_file" in _asked:
        _read_settings(_asked)
    else:
        _run(_asked)
