from pathlib import Path

import pytest

from tailrace.mlperf.logs import read_detail
from tailrace.mlperf.rules import deviations, rules_for, user_conf
from tailrace.mlperf.scenario import MULTI_STREAM, OFFLINE, SCENARIOS, SERVER, SINGLE_STREAM
from tailrace.models import zoo
from tests.mlperf.loadgen_runs import SAMPLES, logs_of, settings_of

OFFICIAL = {
    "effective_test_mode": "PerformanceOnly",
    "effective_min_duration_ms": 600_000,
    "effective_min_query_count": 100,
    "effective_max_duration_ms": 0,
    "effective_max_query_count": 0,
    "effective_samples_per_query": 1,
    "effective_target_latency_ns": 15_000_000,
    "effective_target_latency_percentile": 0.99,
    "effective_performance_sample_count": 1024,
    "effective_accuracy_sample_count": 50_000,
    "effective_qsl_rng_seed": 2085463073848966840,
    "effective_sample_index_rng_seed": 2747215439041700203,
    "effective_schedule_rng_seed": 16159082839903944936,
    "effective_performance_issue_unique": False,
    "effective_performance_issue_same": False,
}


@pytest.mark.parametrize(
    ("model", "bound_ms", "samples", "retired"),
    [
        ("resnet50", 15, 1024, None),
        ("retinanet", 100, 64, None),
        ("ssd-mobilenet", 10, 256, "v0.5"),
        ("ssd-resnet34", 100, 64, "v0.5 to v2.0"),
        ("mobilenet", 10, 1024, "v0.5"),
        ("shapes", None, 256, None),
        ("null", None, 256, None),
    ],
)
def test_rules_of_a_model(
    model: str, bound_ms: int | None, samples: int, retired: str | None
) -> None:
    rules = rules_for(zoo.find(model), SERVER)
    assert rules.target_latency_ns == (None if bound_ms is None else bound_ms * 1_000_000)
    assert rules.performance_sample_count == samples
    assert rules.retired == retired
    assert (rules.history is None) == (retired is None)
    assert rules.in_mlperf == (bound_ms is not None)
    assert rules.min_duration_ms == 600_000


def test_rules_of_a_scenario() -> None:
    resnet50 = zoo.find("resnet50")
    single, multi, server, offline = (rules_for(resnet50, each) for each in SCENARIOS)
    assert [single.percent, multi.percent, server.percent, offline.percent] == [90, 99, 99, None]
    assert [each.min_query_count for each in (single, multi, server, offline)] == [100, 662, 100, 1]
    assert (offline.min_sample_count, multi.samples_per_query) == (24_576, 8)
    assert single.target_latency_ns is None


def test_official_settings_deviate_in_nothing() -> None:
    assert deviations(rules_for(zoo.find("resnet50"), SERVER), OFFICIAL, 50_000) == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("min_duration_ms", 5_000, "min_duration is 5 s: MLPerf demands 600 s"),
        ("min_query_count", 10, "min_query_count is 10: MLPerf demands 100"),
        ("max_duration_ms", 9_000, "max_duration is 9 s: MLPerf sets no such limit"),
        ("max_query_count", 9_000, "max_query_count is 9,000: MLPerf sets no such limit"),
        ("samples_per_query", 2, "samples_per_query is 2: MLPerf demands 1"),
        (
            "target_latency_ns",
            16_000_000,
            "the latency bound is 16 ms: MLPerf's for resnet50 is 15 ms",
        ),
        ("target_latency_percentile", 0.9, "the percentile is p90: MLPerf's is p99"),
        (
            "performance_sample_count",
            512,
            "performance_sample_count is 512: MLPerf has at least 1,024 loaded",
        ),
        ("qsl_rng_seed", 7, "qsl_rng_seed is 7: MLPerf demands 2085463073848966840"),
        (
            "schedule_rng_seed",
            16159082839903944935,
            "schedule_rng_seed is 16159082839903944935: MLPerf demands 16159082839903944936",
        ),
        (
            "performance_issue_same",
            True,
            "performance_issue_same is on: MLPerf has samples drawn at random",
        ),
        (
            "test_mode",
            "FindPeakPerformance",
            "a search for the peak is no test that MLPerf takes",
        ),
    ],
)
def test_each_deviation_is_told(key: str, value: object, said: str) -> None:
    settings = {**OFFICIAL, f"effective_{key}": value}
    assert deviations(rules_for(zoo.find("resnet50"), SERVER), settings, 50_000) == [said]


def test_what_is_stricter_is_no_deviation() -> None:
    settings = {
        **OFFICIAL,
        "effective_min_duration_ms": 700_000,
        "effective_target_latency_ns": 10_000_000,
        "effective_target_latency_percentile": 0.999,
        "effective_performance_sample_count": 5_000,
    }
    assert deviations(rules_for(zoo.find("resnet50"), SERVER), settings, 50_000) == []


def test_other_percentile_in_a_stream_is_a_deviation_even_if_higher() -> None:
    settings = {"effective_target_latency_percentile": 0.99}
    found = deviations(rules_for(zoo.find("resnet50"), SINGLE_STREAM), settings, None)
    assert found == ["the percentile is p99: MLPerf's is p90"]


def test_offline_needs_its_samples_and_data() -> None:
    rules = rules_for(zoo.find("retinanet"), OFFLINE)
    assert deviations(rules, {"effective_samples_per_query": 24_576}, 64) == []
    assert deviations(rules, {"effective_samples_per_query": 100}, 63) == [
        "the query has 100 samples: MLPerf demands 24,576",
        "the data set has 63 samples: MLPerf has at least 64 loaded",
    ]


def test_accuracy_is_of_the_whole_data_set() -> None:
    rules = rules_for(zoo.find("ssd-resnet34"), OFFLINE)
    asked = {"effective_test_mode": "AccuracyOnly", "effective_accuracy_sample_count": 4_999}
    assert deviations(rules, asked, 5_000) == [
        "accuracy is of 4,999 samples: MLPerf's is of all 5,000"
    ]
    asked["effective_accuracy_sample_count"] = 5_000
    assert deviations(rules, asked, 5_000) == []


@pytest.mark.parametrize("model", ["shapes", "null"])
def test_a_model_that_is_not_mlperfs_deviates(model: str) -> None:
    assert deviations(rules_for(zoo.find(model), SERVER), {}, None) == [
        f"{model} is no model of MLPerf's"
    ]


def test_deviations_of_a_real_log() -> None:
    detail = read_detail(logs_of("server"))
    found = deviations(rules_for(zoo.find("ssd-mobilenet"), SERVER), detail.values, SAMPLES)
    assert found == [
        "min_duration is 0.1 s: MLPerf demands 600 s",
        "the latency bound is 5000 ms: MLPerf's for ssd-mobilenet is 10 ms",
    ]


@pytest.mark.parametrize(
    ("model", "bound_ms", "samples"),
    [
        ("resnet50", 15, 1024),
        ("ssd-mobilenet", 10, 256),
        ("ssd-resnet34", 100, 64),
        ("mobilenet", 10, 1024),
        ("shapes", 100, 256),
    ],
)
def test_loadgen_takes_what_it_does_not_know(
    model: str, bound_ms: int, samples: int, tmp_path: Path
) -> None:
    settings = settings_of(model, "Server", user_conf(zoo.find(model), SERVER), tmp_path)
    assert settings["server_target_latency_ns"] == bound_ms * 1_000_000
    assert settings["performance_sample_count_override"] == samples
    assert settings["min_duration_ms"] == 600_000


def test_users_own_lines_win(tmp_path: Path) -> None:
    conf = user_conf(zoo.find("shapes"), OFFLINE)
    own = f"{conf}\n*.Offline.min_query_count = 7\n"
    assert settings_of("shapes", "Offline", f"{conf}\n", tmp_path)["min_query_count"] == 24_576
    assert settings_of("shapes", "Offline", own, tmp_path)["min_query_count"] == 7


def test_conf_says_which_values_are_historic() -> None:
    assert "historic bound: it had ssd-resnet34 in v0.5 to v2.0" in user_conf(
        zoo.find("ssd-resnet34"), SERVER
    )
    assert "Tailrace's own bound" in user_conf(zoo.find("shapes"), SERVER)
    only = user_conf(zoo.find("resnet50"), MULTI_STREAM)
    assert only.startswith("#")
    assert "\n" not in only
