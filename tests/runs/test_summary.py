"""JUnit and Markdown of a summary: readable whatever is in it."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import TailraceError, UsageError
from tailrace.load.judge.dependence import SloDecision
from tailrace.load.judge.verdict import MlperfAnswer, Verdict
from tailrace.load.measure.point import Percentiles
from tailrace.load.session.found import Found, Step
from tailrace.load.session.result import Rates, Result
from tailrace.runs.compare.regression import Outcome
from tailrace.runs.summary import (
    Check,
    Summary,
    SummaryFiles,
    Table,
    junit,
    markdown,
    of_failure,
    of_find,
    of_load,
)


def result(valid: bool = False, slo: dict[str, bool] | None = None) -> Result:
    latency = Percentiles(mean=5.0, p50=4.0, p90=9.0, p95=11.0, p99=20.5, max=60.0)
    return Result(
        target="http://127.0.0.1:5000/predict/shapes",
        arrivals="poisson",
        seed=1,
        duration_s=30.25,
        offered=6012,
        sent=6012,
        completed=6000,
        failed={"timeout": 12},
        rate=Rates(200.4, 200.4, 200.0),
        latency_ms=latency,
        confidence_ms={"p50": (3.9, 4.1), "p99": (18.0, 24.0), "p99.9": None},
        service_ms=latency,
        send_lag_us={"p50": 30.0, "p99": 150.0, "max": 900.0},
        stages_ms={},
        verdict=Verdict(valid, [] if valid else ["it ran 30.2 s", "too few"]),
        slo=slo if slo is not None else {"p99<100ms": True, "p50<1ms": False},
        run="runs/x",
    )


def cases(summary: Summary) -> dict[str, ET.Element]:
    root = ET.fromstring(junit(summary).encode())
    assert root.tag == "testsuites"
    (suite,) = root
    found = {case.attrib["name"]: case for case in suite.iter("testcase")}
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        count = sum(case.find(tag) is not None for case in found.values())
        assert suite.attrib[attribute] == str(count)
    assert suite.attrib["tests"] == root.attrib["tests"] == str(len(found))
    # The order that junit-10.xsd demands.
    assert [child.tag for child in suite][:1] == ["properties"]
    return found


def test_a_run_is_a_test_case_for_each_slo_the_verdict_and_each_bound() -> None:
    outcomes = [
        Outcome(bound="p99+10%", outcome="broken", reason="20 ms → 30 ms"),
        Outcome(bound="p50+10%", outcome="undecided", reason="not proven"),
    ]
    found = cases(of_load(result(), outcomes=outcomes))
    assert list(found) == [
        "SLO p99<100ms",
        "SLO p50<1ms",
        "verdict",
        "regression p99+10%",
        "regression p50+10%",
    ]
    kept, broken = found["SLO p99<100ms"], found["SLO p50<1ms"]
    assert kept.find("failure") is None
    assert kept.findtext("system-out") == (
        "kept, p99 20.5 ms, 12 failed requests count as slower than any bound"
    )
    failure = broken.find("failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("broken, p50 4 ms")
    skipped = found["verdict"].find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"] == "INVALID: it ran 30.2 s; too few"
    assert found["regression p99+10%"].find("failure") is not None
    assert found["regression p50+10%"].find("skipped") is not None
    assert kept.attrib["time"] == "30.250"


def test_a_run_that_was_never_answered_fails_unless_nothing_was_asked() -> None:
    asked = msgspec.structs.replace(result(), completed=0, failed={"connect": 6012})
    failure = cases(of_load(asked))["answered at all"].find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "6,012 connect"
    idle = msgspec.structs.replace(asked, offered=0, sent=0, failed={})
    assert "answered at all" not in cases(of_load(idle))


def decided(outcome: str, kept: bool) -> Result:
    decision = SloDecision(
        outcome=outcome,  # type: ignore[arg-type]
        confidence=0.9,
        over=3,
        ended=400,
        needed_s=12.0 if outcome == "undecided" else None,
        reason="3 of 400 over it",
    )
    whole = result(valid=True, slo={"p99<100ms": kept})
    return msgspec.structs.replace(whole, decisions={"p99<100ms": decision})


@pytest.mark.parametrize(
    ("outcome", "kept", "tag", "strict_tag", "word"),
    [
        ("kept", True, "system-out", "system-out", "kept"),
        ("broken", False, "failure", "failure", "broken"),
        ("undecided", True, "skipped", "failure", "not decided yet"),
        # As measured it is broken, which is what the exit code says as well.
        ("undecided", False, "failure", "failure", "not decided yet"),
    ],
)
def test_what_is_decided_of_an_slo_is_a_test_case(
    outcome: str, kept: bool, tag: str, strict_tag: str, word: str
) -> None:
    whole = decided(outcome, kept)
    for strict, expected in ((False, tag), (True, strict_tag)):
        (said,) = cases(of_load(whole, strict=strict))["SLO p99<100ms"]
        assert said.tag == expected
        text = said.attrib.get("message", said.text)
        assert text is not None
        assert text.startswith(f"{word}, p99 20.5 ms, 12 failed")
        assert text.endswith("3 of 400 over it")
        assert ("broken so far" in text) == (outcome == "undecided" and not kept)


@pytest.mark.parametrize("official", [True, False])
def test_mlperfs_answer_is_a_test_case_where_it_was_asked(official: bool) -> None:
    assert "MLPerf" not in cases(of_load(result()))
    answer = MlperfAnswer(official, [] if official else ["it ran 30 s"])
    asked = msgspec.structs.replace(result(valid=True), mlperf=answer)
    for strict, tag in ((False, "skipped"), (True, "failure")):
        (said,) = cases(of_load(asked, strict=strict))["MLPerf"]
        assert said.tag == ("system-out" if official else tag)
        assert said.attrib.get("message", said.text) == (
            "official" if official else "not official: it ran 30 s"
        )


def test_an_invalid_verdict_fails_if_it_is_strict() -> None:
    assert cases(of_load(result(), strict=True))["verdict"].find("failure") is not None
    for strict in (True, False):
        verdict = cases(of_load(result(valid=True), strict=strict))["verdict"]
        assert verdict.find("failure") is verdict.find("skipped") is None


def test_main_figures_are_properties() -> None:
    root = ET.fromstring(junit(of_load(result())).encode())
    found = {p.attrib["name"]: p.attrib["value"] for p in root.iter("property")}
    assert found["latency p99"] == "20.5"
    assert found["latency p99.9"] == "–"
    assert found["95 % interval p99"] == "18 – 24"
    assert found["failed"] == "12 timeout"
    assert found["completed"] == "6,000 (200/s)"


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_search_is_one_test_case(confirmed: bool) -> None:
    step = Step(
        rate_per_s=100.0,
        decision="holds",
        reason="proven",
        duration_s=10.0,
        offered=1000,
        completed=1000,
        failed=0,
        over=1,
        percentile_ms=50.0,
        send_lag_p99_us=100.0,
    )
    found = Found(
        target="http://h/",
        slo="p99<100ms",
        rate_per_s=100.0,
        confirmed=confirmed,
        reason="100 requests a second hold p99<100ms",
        estimate_per_s=104.0,
        interval_per_s=(100.0, 108.0),
        confidence=0.97,
        findings=("it stalls now and then",),
        steps=(step,),
    )
    summary = of_find(found, 12.0)
    (case,) = cases(summary).values()
    assert (case.find("failure") is None) is confirmed
    said = markdown(summary)
    assert "| 100/s | holds | 50 | 1 of 1,000 | 10.0 s |" in said
    assert "is about 104/s: 100 to 108 with a probability of 95 %" in said
    assert "- it stalls now and then" in said


def test_no_result_is_an_error() -> None:
    (case,) = cases(of_failure("load", "http://h/", "cannot start")).values()
    error = case.find("error")
    assert error is not None
    assert error.attrib["message"] == "cannot start"
    assert "💥 error" in markdown(of_failure("load", "http://h/", "cannot start"))


def test_markdown_has_checks_and_figures() -> None:
    lines = markdown(of_load(result())).splitlines()
    assert lines[0] == "### tailrace load: http://127.0.0.1:5000/predict/shapes"
    assert "| SLO p50\\<1ms | ❌ failed | " in "\n".join(lines)
    assert "| latency | 5 | 4 | 9 | 11 | 20.5 | – | 60 |" in lines
    tables = [line for line in lines if line.startswith("| ---")]
    assert len(tables) == 2


@given(st.text(), st.text(), st.text())
@settings(max_examples=200)
def test_whatever_is_in_it_the_formats_hold(subject: str, name: str, reason: str) -> None:
    summary = Summary(
        command="load",
        subject=subject,
        checks=(
            Check(name=name, outcome="failed", reason=reason),
            Check(name="more", outcome="undecided", reason=reason),
        ),
        table=Table(head=("", subject), rows=((name, reason),)),
        facts={name: reason},
        notes=(reason,),
    )
    root = ET.fromstring(junit(summary).encode("utf-8", "strict"))
    assert len(list(root.iter("testcase"))) == 2
    text = markdown(summary)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    # A bar of the text's own is escaped: each row keeps its columns, and is one line.
    assert [len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows] == [4, 4, 4, 4, 3, 3, 3]


def test_control_characters_and_markup_are_no_more_than_text() -> None:
    hostile = 'a\x00b\x1b[31m]]>&<x y="1">\ufffe|`@me`\n# x'
    summary = of_failure("load", hostile, hostile)
    root = ET.fromstring(junit(summary).encode())
    error = root.find(".//error")
    assert error is not None
    assert error.attrib["message"] == r'a\x00b\x1b[31m]]>&<x y="1">\ufffe|`@me` # x'
    text = markdown(summary)
    assert "\x00" not in text
    assert "\n# x" not in text
    assert "\\<x y" in text


FULL = Path("/dev/full")


def test_until_there_is_a_result_the_file_says_that_there_is_none(tmp_path: Path) -> None:
    files = SummaryFiles("load", "http://h/", tmp_path / "j.xml", tmp_path / "s.md")
    assert "did not come to its end" in (tmp_path / "j.xml").read_text()
    assert (tmp_path / "s.md").read_text() == ""
    with pytest.raises(TailraceError, match="gone"), files.failures():
        raise TailraceError("the service is gone")
    for file in ("j.xml", "s.md"):
        assert "the service is gone" in (tmp_path / file).read_text()


@pytest.mark.parametrize("place", [(0, 1), (1, 0)])
def test_the_file_that_cannot_be_written_is_named(tmp_path: Path, place: tuple[int, int]) -> None:
    there = (tmp_path / "there", tmp_path / "absent/file")
    with pytest.raises(UsageError, match=r"cannot write .*/absent/file: No such file"):
        SummaryFiles("load", "http://h/", there[place[0]], there[place[1]])
    both = (there[0], FULL)
    with pytest.raises(TailraceError, match="cannot write /dev/full: No space left"):
        SummaryFiles("load", "x", both[place[0]], both[place[1]]).write(of_failure("load", "x", ""))
