"""What LoadGen is told; that it understands it shows in test_cli.py."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tailrace.errors import UsageError
from tailrace.mlperf.calibration import Estimate
from tailrace.mlperf.scenario import MULTI_STREAM, OFFLINE, SERVER, SINGLE_STREAM, Scenario
from tailrace.mlperf.settings import UserConf, Wishes, conf_text
from tailrace.models import zoo

ESTIMATE = Estimate(query_s=0.012, samples_per_s=100.0)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_mlperfs_then_the_measured_then_the_users_then_the_flags(tmp_path: Path) -> None:
    conf = tmp_path / "user.conf"
    conf.write_text("# mine\n*.Server.target_qps = 7\n")
    wishes = Wishes(
        scenario=SERVER,
        mode="find-peak",
        rate_per_s=12.5,
        min_duration_s=1.5,
        min_queries=9,
        user_conf=UserConf.read(conf),
    )
    text = conf_text(zoo.find("ssd-resnet34"), wishes, ESTIMATE)
    assert _lines(text) == [
        "*.*.performance_sample_count_override = 64",
        "*.Server.target_latency = 100",
        "*.Server.target_qps = 25",
        "*.Server.target_qps = 7",
        "ssd-resnet34.Server.target_qps = 12.5",
        "ssd-resnet34.Server.min_duration = 1500",
        "ssd-resnet34.Server.min_query_count = 9",
    ]
    assert "# mine" in text


@pytest.mark.parametrize(
    ("scenario", "line"),
    [
        (SINGLE_STREAM, "*.SingleStream.target_latency = 10"),
        (MULTI_STREAM, "*.MultiStream.target_latency = 10"),
        (OFFLINE, "*.Offline.target_qps = 120"),
    ],
)
def test_expectations_have_a_margin(scenario: Scenario, line: str) -> None:
    text = conf_text(zoo.find("resnet50"), Wishes(scenario=scenario), ESTIMATE)
    assert line in _lines(text)


def test_a_bound_that_the_file_cannot_hold_is_told() -> None:
    wishes = Wishes(scenario=SERVER, rate_per_s=1, latency_s=0.0075, percent=95)
    text = conf_text(zoo.find("resnet50"), wishes, None)
    assert "# target_latency: 7.5 ms" in text
    assert "# target_latency_percentile: 95" in text


@pytest.mark.parametrize(
    ("line", "scenario", "needed"),
    [
        ("*.Offline.target_qps = 50", OFFLINE, False),
        ("shapes.Offline.target_qps = 50", OFFLINE, False),
        ("*.Server.target_qps = 50", OFFLINE, True),
        ("# *.Offline.target_qps = 50", OFFLINE, True),
        ("*.SingleStream.target_latency = 5", SINGLE_STREAM, False),
        ("*.MultiStream.target_latency = 5", SINGLE_STREAM, True),
        ("", MULTI_STREAM, True),
    ],
)
def test_nothing_is_measured_that_the_user_says(
    tmp_path: Path, line: str, scenario: Scenario, needed: bool
) -> None:
    conf = tmp_path / "user.conf"
    conf.write_text(f"{line}\n")
    wishes = Wishes(scenario=scenario, user_conf=UserConf.read(conf))
    wishes.check()
    assert wishes.needs_estimate == needed
    assert not Wishes(scenario=scenario, mode="accuracy").needs_estimate


def test_a_server_needs_a_rate_to_measure_accuracy_at() -> None:
    """MLPerf's own, one a second, would take 83 minutes for COCO."""
    wishes = Wishes(scenario=SERVER, mode="accuracy")
    assert wishes.needs_estimate
    text = conf_text(zoo.find("resnet50"), wishes, ESTIMATE)
    assert "*.Server.target_qps = 50" in _lines(text)
    assert not Wishes(scenario=SERVER, mode="accuracy", rate_per_s=3).needs_estimate


@pytest.mark.parametrize(
    "line",
    [
        "*.Server.target_qps=5",
        "*.Server.target_qps = five",
        "target_qps = 5",
        "*.Server.target_qps = 5 # fast",
        "nonsense",
    ],
)
def test_lines_that_loadgen_would_pass_over(tmp_path: Path, line: str) -> None:
    conf = tmp_path / "user.conf"
    conf.write_text(f"# mine\n{line}\n")
    with pytest.raises(UsageError, match=r"line 2: LoadGen takes 'MODEL.SCENARIO.KEY = VALUE'"):
        UserConf.read(conf)


def test_a_pipe_is_read_as_a_file_is(tmp_path: Path) -> None:
    """As `--user-conf <(echo ...)`: a second look finds nothing."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    line = "*.Offline.target_qps = 50"
    writer = threading.Thread(target=pipe.write_text, args=(f"{line}\n",), daemon=True)
    writer.start()
    wishes = Wishes(scenario=OFFLINE, user_conf=UserConf.read(pipe))
    writer.join()
    wishes.check()
    assert not wishes.needs_estimate
    assert line in _lines(conf_text(zoo.find("shapes"), wishes, None))
