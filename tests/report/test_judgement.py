"""An SLO is judged once: whoever shows it, shows that judgement."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec

from tailrace.control.window import summarize
from tailrace.dashboard.figures import broken
from tailrace.dashboard.overview import glance
from tailrace.load.judge.slo import parse_slo
from tailrace.load.measure.point import Interval
from tailrace.report.page import make_page
from tailrace.runs.files import RunFiles
from tailrace.runs.listing import list_runs, read_run
from tailrace.runs.run import Run
from tests.kit.cli import run as run_tailrace
from tests.kit.plans import make_plan
from tests.kit.ports import refusing
from tests.kit.samples import SERVICE

JUDGED = {"p99<10s": False, "p97<=10s": False, "max<10s": False, "p90<10s": True}
"""Of a service that answers far within 10 s, while 5 % of the connections are refused."""


SHOWN = ("outcome", "over", "ended")


def targets(answering: str, refusing_port: int) -> list[str]:
    return [answering] * 19 + [f"http://127.0.0.1:{refusing_port}/"]


def expected(point: dict[str, Any]) -> dict[str, bool]:
    """Of an interval: so large a share of its requests may fail."""
    failed = sum(point["failed"].values())
    spared = {"p99<10s": 0.01, "p97<=10s": 0.03, "max<10s": 0.0, "p90<10s": 0.1}
    total = point["completed"] + failed
    return {text: failed <= share * total + 1e-9 for text, share in spared.items()}


def slos_in(sources: str) -> list[dict[str, bool]]:
    """The judgement of each interval that the report's charts draw."""
    packed = gzip.decompress(base64.b64decode(json.loads(sources)[0]["packed"]))
    return [point["slo"] for point in json.loads(packed)]


def test_refused_connections_break_a_bound_wherever_a_run_is_shown(
    serve: Any, tmp_path: Path
) -> None:
    with refusing() as port:
        finished = run_tailrace(
            *("load", *targets(serve().url, port), "--rate", "200", "--for", "3s"),
            *("--arrivals", "constant", "--json", "--out", "r", "--junit", "junit.xml"),
            *(word for text in JUDGED for word in ("--slo", text)),
            cwd=tmp_path,
        )
    assert finished.returncode == 1, finished.stderr
    result = json.loads(finished.stdout)
    assert set(result["failed"]) == {"connect"}
    assert result["slo"] == JUDGED
    assert not any("SLO" in why for why in result["verdict"]["reasons"])
    cases = ET.parse(tmp_path / "junit.xml").iter("testcase")
    failed = {case.attrib["name"]: case.find("failure") is not None for case in cases}
    assert {text: not failed[f"SLO {text}"] for text in JUDGED} == JUDGED
    html = make_page([tmp_path / "r"]).html
    # A run of an earlier version said nothing of decisions: its intervals do.
    older = {key: result[key] for key in result.keys() - {"decisions", "mlperf"}}
    (tmp_path / "r" / "result.json").write_text(json.dumps(older))
    of_older = make_page([tmp_path / "r"]).html
    for text, decision in result["decisions"].items():
        word = "not decided yet" if decision["outcome"] == "undecided" else decision["outcome"]
        assert f"{text.replace('<', '&lt;')} {word}" in html
        assert f"{text.replace('<', '&lt;')} {word}" in of_older
    (info,) = list_runs(tmp_path)
    assert (info.slo, info.decisions, info.mlperf) == (JUDGED, {}, None)
    # What its intervals decide is the same, for who reads a run that has no result.
    slos = [parse_slo(text) for text in JUDGED]
    again = msgspec.to_builtins(RunFiles(tmp_path / "r").decided(slos))
    for text, decision in result["decisions"].items():
        assert [again[text][name] for name in SHOWN] == [decision[name] for name in SHOWN]
    found = re.search(r'<script[^>]*id="sources"[^>]*>(.*?)</script>', html)
    assert found is not None
    drawn = slos_in(found[1])
    timeline = tmp_path / "r" / "timeline.jsonl"
    lines = [json.loads(line) for line in timeline.read_text().splitlines()]
    assert drawn == [expected(line) for line in lines]
    assert JUDGED in drawn
    # Of a run that was made before intervals were judged, they are judged as it is read.
    for line in lines:
        del line["slo"]
    timeline.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [point.slo for point in read_run(tmp_path, "r").points] == drawn


async def test_refused_connections_break_a_bound_wherever_a_service_is_shown(
    serve: Any, tmp_path: Path
) -> None:
    with refusing() as port:
        settings = {"arrivals": "constant", "timeout_s": 20.0, "slo": tuple(JUDGED)}
        plan = make_plan(targets(serve().url, port), "200", **settings)
        run = Run(plan, tmp_path / "r")
        await run.start()
        intervals: list[Interval] = [interval async for interval in run.intervals()]
    window = summarize(intervals, plan.slos)
    assert window.slo == JUDGED
    ended = run.result.decisions
    assert {text: each.outcome for text, each in window.decisions.items()} == {
        text: each.outcome for text, each in ended.items()
    }
    assert set(broken(window)) == {"p99", "p97", "max"}
    service = msgspec.structs.replace(SERVICE, slo=tuple(JUDGED))
    shown = glance(service, window, window.points)
    assert shown["texts"]["slo"] == "over p99<10s, p97<=10s, max<10s"
    assert "over" in shown["flags"].split()
    assert shown["over"]


def test_where_nothing_ended_nothing_is_judged() -> None:
    plan = make_plan("http://h/", slo=("p99<1s",))
    assert summarize([], plan.slos).slo == {}
