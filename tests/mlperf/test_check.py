import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import UsageError
from tailrace.load.measure.point import Percentiles
from tailrace.mlperf.check import TestCheck, check_test, check_tree
from tailrace.mlperf.logs import ACCURACY, DETAIL, SUMMARY, add_error, close_logs, read_detail
from tailrace.mlperf.outcome import FILE, Mode, Outcome, write_outcome
from tailrace.mlperf.recount import duration_s
from tailrace.mlperf.scenario import find_scenario
from tailrace.mlperf.submission.layout import Layout
from tests.mlperf.loadgen_runs import ACCURACY_RUNS, NAME, PERFORMANCE, SAMPLES, logs_of

Copy = Callable[..., Path]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Copies the logs of a run: `copy("server", min_duration_ms=5)` with other values in them."""

    def of(name: str, **changes: object) -> Path:
        folder = shutil.copytree(logs_of(name), tmp_path / name)
        for key, value in changes.items():
            change(folder, key, value)
        return folder

    return of


def change(folder: Path, key: str, value: object) -> None:
    """Gives a key of the detail log another value; None leaves its line out."""
    lines = (folder / DETAIL).read_text().splitlines()
    kept = []
    for line in lines:
        entry = json.loads(line.removeprefix(":::MLLOG "))
        if entry["key"] == key:
            if value is None:
                continue
            line = f":::MLLOG {json.dumps({**entry, 'value': value})}"
        kept.append(line)
    assert kept != lines, f"no {key} in {folder}"
    (folder / DETAIL).write_text("\n".join(kept) + "\n")


def outcome(folder: Path, **changes: Any) -> Outcome:
    """What Tailrace would have noted of a test that went well."""
    detail = read_detail(folder)
    samples = (detail.number("result_query_count") or 0) * (
        detail.number("effective_samples_per_query") or 1
    )
    modes: dict[str, Mode] = {"AccuracyOnly": "accuracy", "FindPeakPerformance": "find-peak"}
    values: dict[str, Any] = {
        "tailrace": "0",
        "model": "ssd-mobilenet",
        "scenario": find_scenario(str(detail.text("effective_scenario"))).name,
        "mode": modes.get(str(detail.text("effective_test_mode")), "performance"),
        "system": NAME,
        "targets": [],
        "dataset": "scenes",
        "payload": "picture",
        "started": "2026-01-01T00:00:00.000",
        "ended": "finished",
        "elapsed_s": 1.0,
        "issued": int(samples),
        "completed": int(samples),
        "failed": 0,
        "failures": {},
        "problems": [],
        "notes": [],
        "latency_ms": Percentiles(),
    }
    return Outcome(**{**values, **changes})


def checked(folder: Path, **changes: Any) -> TestCheck:
    """Judged with a tailrace.json."""
    write_outcome(folder, outcome(folder, **changes))
    return check_test(folder)


@pytest.mark.parametrize("name", [*PERFORMANCE, *ACCURACY_RUNS])
def test_a_good_test_is_valid(name: str, copy: Copy) -> None:
    check = checked(copy(name))
    assert check.reasons == []
    assert check.valid
    assert check.system == NAME
    assert f"{check.scenario}{'-accuracy' if check.mode == 'accuracy' else ''}" == name
    assert not check.official
    again = msgspec.json.decode(msgspec.json.encode(check), type=TestCheck)
    assert again == check


@pytest.mark.parametrize(
    ("name", "headline", "unit", "key", "scale"),
    [
        (
            "single-stream",
            "p90 latency, early-stopping estimate",
            "ms",
            "early_stopping_latency_ss",
            1e6,
        ),
        (
            "multi-stream",
            "p99 query latency, early-stopping estimate",
            "ms",
            "early_stopping_latency_ms",
            1e6,
        ),
        (
            "server",
            "completed samples within the bound",
            "samples/s",
            "result_completed_samples_per_sec",
            1,
        ),
        ("offline", "completed samples", "samples/s", "result_samples_per_second", 1),
    ],
)
def test_headline_is_mlperfs(name: str, headline: str, unit: str, key: str, scale: float) -> None:
    found = check_test(logs_of(name)).headline
    assert found is not None
    assert (found.name, found.unit) == (headline, unit)
    assert found.value == read_detail(logs_of(name)).values[key] / scale


@pytest.mark.parametrize("name", PERFORMANCE)
def test_figures_are_in_the_units_of_their_names(name: str) -> None:
    figures = check_test(logs_of(name)).figures
    detail = read_detail(logs_of(name))
    kind = "query_" if name == "multi-stream" else ""
    assert figures["queries"] == detail.number("result_query_count")
    assert figures["latency_max_ms"] * 1e6 == pytest.approx(
        detail.number(f"result_max_{kind}latency_ns")
    )
    assert figures["latency_p99.9_ms"] <= figures["latency_max_ms"]
    assert figures["min_duration_s"] == 0.1
    assert figures["duration_s"] >= 0.1 * (1 - 1e-5)


@pytest.mark.parametrize("name", PERFORMANCE)
def test_duration_is_about_what_the_clock_says(name: str) -> None:
    detail = read_detail(logs_of(name))
    seconds = duration_s(detail, find_scenario(name))
    assert seconds is not None
    logged = detail.times_ms["result_validity"] - detail.times_ms["generated_query_duration"]
    assert 0.1 * (1 - 1e-5) <= seconds <= logged / 1e3 * (1 + 1e-5)


def test_a_slow_server_is_invalid_for_its_latency(copy: Copy) -> None:
    check = checked(copy("slow-server"))
    assert not check.valid
    assert any("above the bound of 1 ms" in reason for reason in check.reasons)
    assert any(reason.startswith("early stopping: with ") for reason in check.reasons)
    assert not any("though" in reason for reason in check.reasons)


def test_too_few_queries_for_an_estimate_are_told() -> None:
    check = check_test(logs_of("traced"))
    assert check.reasons == [
        "early stopping: 20 queries are too few to estimate the p90, which takes 64"
    ]
    assert check.headline is None


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("server", {"result_validity": "INVALID"}, "summary says VALID, its detail log INVALID"),
        ("slow-server", {"result_validity": "VALID"}, "summary says INVALID, its detail log VALID"),
        ("server", {"effective_min_duration_ms": 600_000}, "less than the 10 min set, though Load"),
        ("single-stream", {"effective_min_duration_ms": 9_000}, "less than the 9 s set, though"),
        ("multi-stream", {"effective_min_duration_ms": 99_000}, "less than the 99 s set, though"),
        ("offline", {"effective_min_duration_ms": 9_000}, "less than the 9 s set, though"),
        ("server", {"effective_min_query_count": 9_000}, "fewer than the 9,000 set, though Load"),
        ("server", {"result_overlatency_query_count": 50}, "50 of "),
        ("server", {"effective_target_latency_ns": 1}, "above the bound of 0.001 µs, though Load"),
        ("multi-stream", {"result_query_count": 600}, "600 queries are too few"),
        ("single-stream", {"early_stopping_result": "Would discard 999 highest"}, "and ours "),
        ("server", {"result_min_duration_met": False}, "not met, though by its numbers it is"),
        ("server", {"result_perf_constraints_met": False}, "latency bound is not met, though"),
        ("server", {"result_overlatency_query_count": None}, "numbers to check early stopping by"),
        ("server", {"result_scheduled_samples_per_sec": None}, "to check the minimum duration by"),
        ("server", {"result_99.00_percentile_latency_ns": None}, "check the latency bound by"),
        ("offline", {"result_query_count": None}, "numbers to check the minimum of queries by"),
        ("server", {"result_validity": None}, "has no result: the test did not end"),
        ("server", {"num_errors": None}, "is cut off"),
        ("server", {"effective_target_latency_percentile": 7}, "to check early stopping by"),
        ("server", {"result_query_count": -5}, "fewer than the 100 set"),
        ("server", {"effective_scenario": "Offline"}, "the scenario is offline by "),
        ("server", {"effective_scenario": "Interactive"}, "which is none of MLPerf's"),
        ("server", {"effective_test_mode": "AccuracyOnly"}, "the mode is accuracy by "),
        ("server-accuracy", {"qsl_reported_total_count": None}, "how many samples there are"),
    ],
)
def test_logs_that_do_not_agree_are_invalid(
    name: str, changes: dict[str, object], reason: str, copy: Copy
) -> None:
    check = check_test(copy(name, **changes))
    assert not check.valid
    assert any(reason in each for each in check.reasons), check.reasons


def test_counts_of_loadgen_and_tailrace_must_agree(copy: Copy) -> None:
    folder = copy("multi-stream")
    good = outcome(folder)
    check = checked(folder, issued=good.issued + 8, completed=good.completed + 8)
    assert check.reasons == [
        f"LoadGen counted {good.issued:,} samples, and Tailrace {good.issued + 8:,}"
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ended": "interrupted", "elapsed_s": 3.25}, "the test was interrupted after 3.2 s"),
        ({"ended": "failed"}, "the test failed after 1.0 s"),
        ({"problems": ["a node is gone"]}, "a node is gone"),
        ({"model": "null", "scenario": "offline"}, "the scenario is server by "),
        ({"mode": "accuracy"}, "the mode is performance by "),
        ({"scenario": "sever"}, "has a scenario 'sever', which is none of MLPerf's"),
    ],
)
def test_what_tailrace_knows_counts(changes: dict[str, Any], reason: str, copy: Copy) -> None:
    check = checked(copy("server"), **changes)
    assert not check.valid
    assert any(each.startswith(reason) or reason in each for each in check.reasons)


def test_failed_samples_are_reasons(copy: Copy) -> None:
    folder = copy("server")
    issued = outcome(folder).issued
    failed = {"failed": 3, "completed": issued - 3, "failures": {"HTTP 500": 2, "timeout": 1}}
    assert checked(folder, **failed).reasons == [
        f"3 of {issued:,} samples failed: 2 x HTTP 500; 1 x timeout"
    ]
    assert checked(folder, completed=issued - 1).reasons == [
        f"1 of {issued:,} samples have no answer"
    ]


def test_an_error_in_the_log_is_a_reason(copy: Copy) -> None:
    check = check_test(logs_of("no-peak"))
    assert any(each.startswith("LoadGen logged an error: FindPeak") for each in check.reasons)
    folder = copy("server")
    add_error(folder, "3 samples failed")
    assert check_test(folder).reasons == ["3 samples failed"]


def test_our_own_error_is_not_told_twice(copy: Copy) -> None:
    folder = copy("server")
    add_error(folder, "a node is gone")
    assert checked(folder, problems=["a node is gone"]).reasons == ["a node is gone"]


def test_without_tailrace_json_failures_are_not_known() -> None:
    check = check_test(logs_of("server"))
    assert check.valid
    assert any("whether samples have failed is not known" in note for note in check.notes)
    assert check.model is None
    assert not check.official


def test_notes_are_shown(copy: Copy) -> None:
    check = checked(copy("server"), notes=["client and system share a host"])
    assert "client and system share a host" in check.notes
    assert any("MLPerf had ssd-mobilenet in v0.5 and has retired it" in n for n in check.notes)


def test_official_settings_are_official(copy: Copy) -> None:
    folder = copy("server", effective_min_duration_ms=600_000)
    change(folder, "effective_target_latency_ns", 10_000_000)
    check = checked(folder)
    assert (check.official, check.deviations) == (True, [])
    assert not check.valid


@pytest.mark.alone("LoadGen looks for the peak of this machine")
def test_peak_is_a_headline_and_not_official(copy: Copy) -> None:
    check = checked(copy("find-peak"))
    assert check.valid
    assert check.mode == "find-peak"
    assert check.headline is not None
    assert (check.headline.name, check.headline.unit) == ("peak rate", "queries/s")
    assert 1000 <= check.headline.value < 100_000
    assert "a search for the peak is no test that MLPerf takes" in check.deviations
    assert "LoadGen found no peak" in check_test(logs_of("no-peak")).reasons


@pytest.mark.parametrize("name", [DETAIL, SUMMARY, ACCURACY])
@pytest.mark.parametrize("how", ["missing", "empty", "binary", "folder", "cut"])
def test_broken_logs_are_invalid(name: str, how: str, copy: Copy) -> None:
    folder = copy("server-accuracy")
    file = folder / name
    content = file.read_bytes()
    file.unlink()
    if how == "folder":
        file.mkdir()
    elif how != "missing":
        left = {"empty": b"", "binary": bytes(range(256)) * 9, "cut": content[: len(content) // 2]}
        file.write_bytes(left[how])
    check = check_test(folder)
    assert not check.valid
    assert all(check.reasons)


def test_broken_tailrace_json_is_invalid(copy: Copy) -> None:
    folder = copy("server")
    (folder / FILE).write_bytes(b"{ half")
    assert [each for each in check_test(folder).reasons if "cannot be read" in each]


@pytest.mark.parametrize(
    "content",
    [
        b'{"model": "shap\xffes"}',
        b'{"model":' * 50_000,
        b"\xef\xbb\xbf{}",
        b"[1e999]",
        b'{"issued": ' + b"9" * 5000 + b"}",
    ],
)
def test_whatever_tailrace_json_holds_is_told_in_a_line(copy: Copy, content: bytes) -> None:
    folder = copy("server")
    (folder / FILE).write_bytes(content)
    (reason,) = [each for each in check_test(folder).reasons if FILE in each]
    assert "cannot be read" in reason
    assert "\n" not in reason


@pytest.mark.parametrize("name", [DETAIL, SUMMARY, ACCURACY, FILE, "accuracy.txt"])
@pytest.mark.parametrize("kind", ["pipe", "device", "sparse"])
def test_what_is_no_file_is_not_read(name: str, kind: str, copy: Copy) -> None:
    folder = copy("server-accuracy")
    write_outcome(folder, outcome(folder))
    (folder / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "device":
        (folder / name).symlink_to("/dev/zero")
    else:
        (folder / name).touch()
        os.truncate(folder / name, 2**40)
    (check,) = check_tree(folder.parent)
    assert not check.valid
    assert any(f"{name} cannot be read: it " in reason for reason in check.reasons)


ODD = (
    None,
    True,
    -1,
    2**64,
    10**400,
    1e300,
    -1e18,
    1e15,
    "NaN",
    [],
    [[1]],
    {"a": [{}]},
    "9" * 5000,
)


@settings(max_examples=60)
@given(st.data())
def test_whatever_a_log_says_is_judged(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(PERFORMANCE))
    with tempfile.TemporaryDirectory() as parent:
        folder = shutil.copytree(logs_of(name), Path(parent) / name)
        lines = (folder / DETAIL).read_text().splitlines()
        for at in data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=1, max_size=8)):
            entry = json.loads(lines[at].removeprefix(":::MLLOG "))
            part = data.draw(st.sampled_from(["value", "value", "value", "time_ms", "metadata"]))
            lines[at] = f":::MLLOG {json.dumps(entry | {part: data.draw(st.sampled_from(ODD))})}"
        (folder / DETAIL).write_text("\n".join(lines))
        check = check_test(folder)
    assert msgspec.json.decode(msgspec.json.encode(check), type=TestCheck) == check


@settings(max_examples=60)
@given(st.data())
def test_a_cut_log_is_never_valid(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(PERFORMANCE))
    with tempfile.TemporaryDirectory() as parent:
        folder = shutil.copytree(logs_of(name), Path(parent) / name)
        file = folder / data.draw(st.sampled_from([DETAIL, SUMMARY]))
        content = file.read_bytes()
        end = content.rindex(b"errors") if file.name == SUMMARY else len(content) - 1
        file.write_bytes(content[: data.draw(st.integers(0, end - 1))])
        assert not check_test(folder).valid
        close_logs(folder, "it was cut")
        assert not check_test(folder).valid


@settings(max_examples=40)
@given(st.binary(max_size=200), st.sampled_from([DETAIL, SUMMARY, ACCURACY, FILE]))
def test_nothing_raises(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as parent:
        folder = shutil.copytree(logs_of("server-accuracy"), Path(parent) / "x")
        (folder / name).write_bytes(data)
        assert not check_test(folder).valid


def test_a_killed_test_is_invalid_before_and_after_closing(copy: Copy) -> None:
    folder = copy("killed")
    assert any("the test did not end" in each for each in check_test(folder).reasons)
    close_logs(folder, "it was killed")
    reasons = check_test(folder).reasons
    assert any(each.endswith("by itself: it was killed") for each in reasons)
    assert any(f"of {SAMPLES} samples have no record" in each for each in reasons)


def test_accuracy_needs_a_record_of_each_sample(copy: Copy) -> None:
    folder = copy("offline-accuracy")
    entries = json.loads((folder / ACCURACY).read_text())
    (folder / ACCURACY).write_text(json.dumps(entries[1:]))
    assert checked(folder).reasons == [f"1 of {SAMPLES} samples have no record"]


@pytest.mark.parametrize(
    ("model", "text", "reason"),
    [
        ("ssd-mobilenet", "mAP=21.780%", None),
        ("ssd-mobilenet", "loading…\nmAP=30%\n", None),
        ("ssd-mobilenet", "mAP=21.779%", "mAP is 21.779 %: MLPerf demands 21.78 %"),
        ("ssd-mobilenet", "accuracy=90.000%", "has accuracy, and the accuracy is mAP"),
        ("resnet50", "accuracy=75.696%, good=1, total=2", None),
        ("resnet50", "accuracy=75.695%", "accuracy is 75.695 %: MLPerf demands 75.7 %"),
        ("shapes", "mAP=1.000%", None),
        ("ssd-mobilenet", "mAP: 22", "has neither mAP="),
    ],
)
def test_accuracy_is_compared(model: str, text: str, reason: str | None, copy: Copy) -> None:
    folder = copy("offline-accuracy")
    (folder / "accuracy.txt").write_text(text)
    check = checked(folder, model=model)
    assert (
        [reason in each for each in check.reasons] == ([True] if reason else [])
        if reason
        else (check.reasons == [])
    )
    assert (check.headline is None) == ("=" not in text)


def test_accuracy_that_is_not_known_is_noted(copy: Copy) -> None:
    check = checked(copy("offline-accuracy"))
    assert check.valid
    assert "there is no accuracy.txt: the accuracy is not known yet" in check.notes


def test_over_the_network_the_name_must_say_so(copy: Copy) -> None:
    folder = copy("server", sut_name="my machine")
    targets = ["http://127.0.0.1:5000"]
    assert checked(folder).valid
    reasons = checked(folder, targets=targets, system="my machine").reasons
    assert len(reasons) == 1
    assert "the name must have 'Network SUT' in it" in reasons[0]
    assert checked(copy("offline"), targets=targets).valid


def test_two_nodes_have_two_names(copy: Copy) -> None:
    targets = ["http://127.0.0.1:5000", "http://127.0.0.1:5001"]
    for second, reasons in (("B", []), ("A", ["two nodes have one name"])):
        folder = copy("server", sut_name=f"Network SUT A + Network SUT {second}")
        name = f"Network SUT A + Network SUT {second}"
        found = checked(folder, targets=targets, system=name).reasons
        assert [reason.partition(":")[0] for reason in found] == reasons
        shutil.rmtree(folder)


def test_streams_over_the_network_are_noted(copy: Copy) -> None:
    check = checked(copy("single-stream"), targets=["http://127.0.0.1:5000"])
    assert check.valid
    assert "MLPerf's Network division has server and offline, not single-stream" in check.notes


def place(root: Path, name: str, scenario: str, **more: str) -> Path:
    """Puts the logs of a run where a submission has them."""
    mode: Mode = "accuracy" if name.endswith("accuracy") else "performance"
    layout = Layout(
        root=root, system="x", model="ssd-mobilenet", scenario=find_scenario(scenario), **more
    )
    return shutil.copytree(logs_of(name), layout.test_folder(mode))


def test_the_place_tells_the_model(tmp_path: Path) -> None:
    check = check_test(place(tmp_path, "server", "server"))
    assert check.valid
    assert check.model == "ssd-mobilenet"
    assert "min_duration is 0.1 s: MLPerf demands 600 s" in check.deviations


def test_the_wrong_place_is_a_reason(tmp_path: Path) -> None:
    folder = place(tmp_path, "server", "offline")
    assert any("do not belong together" in each for each in check_test(folder).reasons)
    check = checked(place(tmp_path / "b", "server", "server"), model="shapes")
    assert any("the model is shapes by tailrace.json" in each for each in check.reasons)


def test_the_network_division_is_over_the_network(tmp_path: Path) -> None:
    check = checked(place(tmp_path, "server", "server", division="network"))
    assert check.reasons == ["it is in the Network division, and the system was in process"]


def test_a_model_that_nobody_knows_is_not_official(copy: Copy) -> None:
    check = checked(copy("server"), model="bert")
    assert check.valid
    assert check.deviations == ["what MLPerf demands of bert is not known"]


def test_finds_every_test_below(tmp_path: Path) -> None:
    place(tmp_path, "server", "server")
    place(tmp_path, "server-accuracy", "server")
    only = tmp_path / "z"
    only.mkdir()
    write_outcome(only, outcome(logs_of("server")))
    checks = check_tree(tmp_path)
    assert [check.valid for check in checks] == [True, True, False]
    assert [check.mode for check in checks] == ["accuracy", "performance", "performance"]
    assert any(f"there is no {only / DETAIL}" in each for each in checks[2].reasons)


def test_a_folder_without_tests_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no test of LoadGen's"):
        check_tree(tmp_path)
    with pytest.raises(UsageError, match="no test of LoadGen's"):
        check_tree(tmp_path / "missing")
