"""The page in a real browser, opened from the disk, with no network to reach."""

import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tailrace.load.session.found import Found, Step
from tailrace.report import page as report_page
from tailrace.report.differences import in_words
from tailrace.report.page import make_page
from tailrace.runs.compare.compare import compare
from tailrace.runs.compare.words import judge
from tailrace.runs.directory import write_label, write_search
from tailrace.units import number
from tests.kit.browser import Open, watched_page
from tests.report.conftest import INTERVALS

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVIL = "http://x/</script><script>window.evil=1</script><img src=x onerror=evil=2>'\"&"


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Open:
    """Opens the report on runs as a file; fails if the console has an error or a warning, or if
    anything is fetched.
    """

    @asynccontextmanager
    async def opened(*paths: Path, **context: Any) -> AsyncIterator[Page]:
        file = tmp_path / "report.html"
        file.write_text(make_page(paths).html, encoding="utf-8")
        allowed = (file.as_uri(), "blob:null/")
        async with watched_page(browser, *allowed, offline=True, **context) as page:
            await page.goto(file.as_uri())
            await page.wait_for_selector("html[data-started]")
            yield page

    return opened


async def drawn_charts(page: Page) -> dict[str, int]:
    """How many columns each chart has once all in sight or out of it are drawn."""
    await page.wait_for_function(
        """() => [...document.querySelectorAll("[data-chart]")].every((chart) =>
          !chart.clientWidth || Number(chart.dataset.columns) > 0)"""
    )
    found: dict[str, int] = await page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("[data-chart]")]
          .filter((chart) => chart.clientWidth && chart.querySelector("canvas, svg"))
          .map((chart) => [chart.dataset.chart, Number(chart.dataset.columns)]))"""
    )
    return found


async def ink(page: Page, chart: str) -> int:
    """How many different colours the lines of `chart` are drawn in: 1 is an empty canvas."""
    colours: int = await page.evaluate(
        """(name) => {
          const canvas = document.querySelector(`[data-chart="${name}"] canvas`);
          const { width, height } = canvas;
          const copy = new OffscreenCanvas(width, height);
          const context = copy.getContext("2d", { willReadFrequently: true });
          context.drawImage(canvas, 0, 0);
          const { data } = context.getImageData(0, 0, width, height);
          return new Set(new Uint32Array(data.buffer)).size;
        }""",
        chart,
    )
    return colours


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


async def test_what_a_person_said_of_a_run_is_in_its_report(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "fast", tmp_path / "a")
    shutil.copytree(runs / "slow", tmp_path / "b")
    write_label(tmp_path / "a", "two <b>workers", "first\n<i>second")
    alone, both = make_page([tmp_path / "a"]).html, make_page([tmp_path / "a", tmp_path / "b"]).html
    assert '<h1 class="target">two &lt;b&gt;workers</h1>' in alone
    assert "<p>first</p><p>&lt;i&gt;second</p>" in alone
    assert "two &lt;b&gt;workers" in both


@pytest.mark.parametrize(
    ("ended_by", "said"),
    [("SIGTERM", "it was cut short by SIGTERM after 0:03"), ("stop", "it was stopped after 0:03")],
)
async def test_a_run_that_was_cut_says_so(
    runs: Path, tmp_path: Path, ended_by: str, said: str
) -> None:
    shutil.copytree(runs / "fast", tmp_path / "cut")
    result = json.loads((tmp_path / "cut" / "result.json").read_text())
    assert said not in make_page([tmp_path / "cut"]).html
    (tmp_path / "cut" / "result.json").write_text(json.dumps(result | {"ended_by": ended_by}))
    assert said in make_page([tmp_path / "cut"]).html


@pytest.mark.smoke
async def test_one_run_is_whole_and_offline(runs: Path, open_report: Open) -> None:
    async with open_report(runs / "slow") as page:
        charts = await drawn_charts(page)
        assert {"latency", "heatmap", "rates", "failures", "stages", "send-lag"} <= set(charts)
        assert {"load-cpu", "tick-lag", "connections"} <= set(charts)
        assert min(charts.values()) > INTERVALS / 2
        assert await ink(page, "latency") > 3
        await expect(page.get_by_test_id("xray")).to_contain_text("slowest 1 %")
        result = json.loads((runs / "slow" / "result.json").read_text())
        word = "VALID" if result["verdict"]["valid"] else "INVALID"
        await expect(page.locator(".badge")).to_have_text(word)
        await expect(page.locator(".judgement")).to_contain_text("p99<1ms broken")
        (decision,) = result["decisions"].values()
        await expect(page.locator(".judgement .slos")).to_contain_text(decision["reason"])
        for reason in result["verdict"]["reasons"]:
            await expect(page.locator(".judgement")).to_contain_text(reason)
        ends = result["confidence_ms"]["p50"]
        span = " – ".join(map(number, ends)) if ends else "too short to tell"
        await expect(page.locator(".figures")).to_contain_text(f"95 %: {span}")
        p99 = number(result["latency_ms"]["p99"])
        await expect(page.locator(".percentiles-table")).to_contain_text(p99)
        await expect(page.locator(".stages-table")).to_contain_text("infer")
        await expect(page.locator("#health")).to_contain_text("http: 50")
        await expect(page.locator("#failures pre")).to_contain_text("HTTP/1.1 50")
        await expect(page.locator("#environment")).to_contain_text("CPython")
        await expect(page.locator("svg.figure")).to_have_count(2)
        await expect(page.locator("#differences")).to_have_count(0)


async def test_stages_and_failures_are_those_that_the_run_names(
    runs: Path, open_report: Open, tmp_path: Path
) -> None:
    path = shutil.copytree(runs / "slow", tmp_path / "foreign")
    for name in ("timeline.jsonl", "result.json"):
        said = (path / name).read_text()
        for ours, theirs in (("queue", "db read"), ("infer", "render"), ("http_5xx", "http_3xx")):
            said = said.replace(f'"{ours}"', f'"{theirs}"')
        (path / name).write_text(said)
    background = "elements => elements.map((one) => getComputedStyle(one).backgroundColor)"
    async with open_report(path) as page:
        assert {"stages", "failures"} <= set(await drawn_charts(page))
        legend = page.locator(".panel-stages .legend-item")
        await expect(legend).to_have_text([re.compile("db read"), re.compile("render")])
        await expect(page.locator(".panel-failures .legend-item")).to_contain_text("http_3xx")
        drawn_in = await legend.locator(".swatch").evaluate_all(background)
        assert len(set(drawn_in)) == 2
        for place in (".bar-legend .swatch", ".bar-row .part", ".moment .parts .swatch"):
            assert await page.locator(place).evaluate_all(background) == drawn_in
        xray = page.locator(".xray-parts dt", has_text=re.compile("db read|render"))
        assert await xray.locator(".xray-swatch").evaluate_all(background) == drawn_in


async def test_a_moment_is_explained_when_it_is_pointed_at(runs: Path, open_report: Open) -> None:
    async with open_report(runs / "slow") as page:
        await drawn_charts(page)
        await page.locator(".panel-latency .plot").hover()
        moment = page.locator("#timeline").get_by_test_id("moment")
        await expect(moment).to_have_attribute("data-chosen", "hover")
        await expect(moment.get_by_test_id("slowest")).to_be_visible()
        async with page.expect_download() as started:
            await page.locator("#timeline").get_by_test_id("csv").click()
        text = (await (await started.value).path()).read_text()
        assert len(text.splitlines()) > INTERVALS / 2


@pytest.mark.smoke
async def test_several_runs_are_laid_over_each_other(runs: Path, open_report: Open) -> None:
    async with open_report(runs / "fast", runs / "slow", runs / "killed") as page:
        charts = await drawn_charts(page)
        assert {"runs-p99", "runs-p50", "runs-qps", "runs-failures", "runs-heatmap"} <= set(charts)
        await expect(page.locator("[data-chart=runs-heatmap]")).to_have_count(3)
        entries = page.locator(".panel-runs-p99 .legend-item")
        await expect(entries).to_have_count(3)
        await expect(entries.nth(1)).to_contain_text("B slow")
        both = await ink(page, "runs-p99")
        for at in range(3):
            await entries.nth(at).click()
        await expect(entries.nth(0)).to_have_attribute("aria-pressed", "false")
        await page.wait_for_function("() => new Promise((done) => requestAnimationFrame(done))")
        assert await ink(page, "runs-p99") < both
        found = compare([runs / "fast"], [runs / "slow"])
        rows = page.locator(".differences-table tbody tr")
        for at, difference in enumerate(found.differences):
            cell = rows.nth(at).locator("td").nth(1)
            await expect(cell).to_contain_text(judge(difference))
        await expect(rows.filter(has_text="p50").locator("td").nth(1)).to_contain_text("×")
        await expect(page.locator(".findings")).to_contain_text(in_words(found, "A"))
        await expect(page.locator("#runs")).to_contain_text("Interrupted")
        slos = page.locator(".setting-table tr", has_text="SLOs")
        await expect(slos.locator("mark")).to_have_text("differs")
        await expect(
            page.locator(".setting-table tr", has_text="Seed").locator("mark")
        ).to_have_count(0)


async def test_an_interrupted_run_shows_what_there_is(runs: Path, open_report: Open) -> None:
    async with open_report(runs / "killed") as page:
        assert (await drawn_charts(page))["latency"] > INTERVALS / 2
        await expect(page.locator(".judgement")).to_contain_text("Interrupted")
        await expect(page.locator(".badge")).to_have_text("no verdict")
        await expect(page.locator(".percentiles-table td").nth(3)).not_to_have_text("–")


async def test_a_run_without_an_interval_says_so(
    runs: Path, open_report: Open, tmp_path: Path
) -> None:
    path = shutil.copytree(runs / "killed", tmp_path / "empty")
    (path / "timeline.jsonl").write_text("")
    (path / "latency.hlog").write_text("")
    async with open_report(path) as page:
        await expect(page.locator("#timeline")).to_contain_text("no finished interval")
        await expect(page.locator("svg.figure")).to_have_count(0)


async def test_what_a_run_says_is_only_text(runs: Path, open_report: Open, tmp_path: Path) -> None:
    path = shutil.copytree(runs / "fast", tmp_path / "evil <b>&'")
    for name in ("run.json", "result.json"):
        said = json.loads((path / name).read_text())
        said |= {"target": EVIL, "profile": EVIL, "arrivals": EVIL, "seed": 1}
        if name == "result.json":
            said["verdict"] = {"valid": False, "reasons": [EVIL]}
            said["stages_ms"] = {EVIL: said["stages_ms"]["infer"]}
            said["failed"] = {EVIL: 1}
        (path / name).write_text(json.dumps(said))
    lines = (path / "timeline.jsonl").read_text().splitlines()
    points = [json.loads(line) for line in lines]
    points[0]["events"] = [
        {"t_s": 0.1, "wall_time": 1, "kind": "rate", "text": EVIL, "rate_per_s": 1}
    ]
    (path / "timeline.jsonl").write_text("\n".join(json.dumps(point) for point in points))
    async with open_report(path) as page:
        await drawn_charts(page)
        await expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
        await expect(page.locator(".reasons")).to_contain_text(EVIL)
        assert await page.evaluate("window.evil") is None
        document = await page.evaluate(
            "JSON.parse(document.getElementById('document').textContent)"
        )
        assert document["runs"][0]["info"]["target"] == EVIL


async def test_it_prints_light_with_every_chart(runs: Path, open_report: Open) -> None:
    async with open_report(runs / "fast", runs / "slow", color_scheme="dark") as page:
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert 2 <= pages_of(await page.pdf(format="A4")) <= 8
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.evaluate("dispatchEvent(new Event('beforeprint'))")
        await expect(page.locator("html")).to_have_attribute("data-theme", "light")
        shown = page.locator(".panel:not([hidden]) [data-chart]")
        assert await shown.locator("svg").count() == await shown.count()
        beyond = await page.evaluate(
            """() => {
              const right = (element) => element.getBoundingClientRect().right;
              const sheet = right(document.querySelector("main"));
              return Math.max(...[...document.querySelectorAll("main *")].map(right)) - sheet;
            }"""
        )
        assert beyond <= 1
        await page.evaluate("dispatchEvent(new Event('afterprint'))")
        await expect(page.locator("[data-chart=runs-p99] canvas")).to_have_count(1)


async def test_the_tables_read_without_a_script(
    runs: Path, open_report: Open, browser: Browser
) -> None:
    file = runs / "report.html"
    file.write_text(make_page([runs / "fast"]).html, encoding="utf-8")
    profile = await browser.new_context(java_script_enabled=False)
    page = await profile.new_page()
    await page.goto(file.as_uri())
    await expect(page.locator(".percentiles-table")).to_be_visible()
    await expect(page.locator("svg.figure")).to_have_count(2)
    await profile.close()


async def test_the_theme_can_be_switched(runs: Path, open_report: Open) -> None:
    async with open_report(runs / "fast", color_scheme="light") as page:
        await drawn_charts(page)
        await page.get_by_role("button", name="Switch to the dark theme").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everyone_can_use_it(runs: Path, open_report: Open, scheme: str) -> None:
    phone = {"width": 375, "height": 812}
    async with open_report(
        runs / "fast", runs / "slow", color_scheme=scheme, viewport=phone
    ) as page:
        await drawn_charts(page)
        assert await page.evaluate("document.documentElement.scrollWidth") == 375
        for viewport in (phone, {"width": 1400, "height": 900}):
            await page.set_viewport_size(viewport)
            found = (await Axe().run(page)).response["violations"]
            cut = (
                "[...document.querySelectorAll('.scroll')].map(e => e.scrollWidth - e.clientWidth)"
            )
            assert max(await page.evaluate(cut)) <= 1
            grave = [each for each in found if each["impact"] in ("serious", "critical")]
            assert [each["nodes"][0]["html"] for each in grave] == []


async def test_a_search_has_its_curve_and_steps(open_report: Open, tmp_path: Path) -> None:
    steps = [
        Step(
            rate_per_s=rate,
            decision=decision,
            reason="",
            duration_s=10,
            offered=100,
            completed=99,
            failed=1,
            over=over,
            percentile_ms=rate / 2,
            send_lag_p99_us=50,
        )
        for rate, decision, over in ((100.0, "holds", 0), (300.0, "breaks", 40))
    ]
    found = Found(
        target=EVIL,
        slo="p99<100ms",
        rate_per_s=100.0,
        confirmed=True,
        reason="100/s keeps p99<100ms",
        steps=tuple(steps),
    )
    write_search(tmp_path / "search", found)
    async with open_report(tmp_path / "search") as page:
        await expect(page.locator(".judgement")).to_contain_text("100/s keeps")
        await expect(page.locator(".steps-table tbody tr")).to_have_count(2)
        natural = await page.locator(".searched img").evaluate("(image) => image.naturalWidth")
        assert natural > 300
        assert await page.evaluate("window.evil") is None


async def test_a_long_run_is_thinned_and_says_so(
    runs: Path, open_report: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_page, "MOST_INTERVALS", 8)
    async with open_report(runs / "fast") as page:
        assert (await drawn_charts(page))["latency"] <= 9
        await expect(page.locator("#timeline .notes")).to_contain_text("at a time")


async def test_the_document_says_the_same_to_programs(runs: Path) -> None:
    document = msgspec.to_builtins(make_page([runs / "fast", runs / "slow"]).document)
    assert [run["info"]["name"] for run in document["runs"]] == ["fast", "slow"]
    assert document["runs"][0]["result"]["latency_ms"]["p99"] is not None
    (comparison,) = document["comparisons"]
    assert (comparison["base"], comparison["other"]) == ("fast", "slow")
    json.dumps(document)


async def test_a_fleet_has_a_row_for_each_node(
    runs: Path, open_report: Open, tmp_path: Path
) -> None:
    path = shutil.copytree(runs / "fast", tmp_path / "fleet")
    result = json.loads((path / "result.json").read_text())
    node = {"rps": 66.5, "send_lag_p99_us": 2500, "cpu_percent": 3.5, "clock_drift_ms": 0.01}
    result["nodes"] = {
        "node-a": node | {"workers": 2, "seen_s": 3.0, "clock_error_ms": 0.42},
        "node-b": node | {"workers": 0, "seen_s": 1.5, "clock_error_ms": 0.61},
    }
    (path / "result.json").write_text(json.dumps(result))
    asked = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(asked | {"part": "1/4"}))
    async with open_report(path) as page:
        part = page.locator(".setting-table tr", has_text="Part of the load")
        await expect(part).to_contain_text("1/4")
        rows = page.locator(".nodes-table tbody tr")
        assert await rows.all_inner_texts() == [
            "node-a\t2\t66.5\t2.5 ms\t3.50 %\t0.42 ms\t0:03",
            "node-b\tlost\t66.5\t2.5 ms\t3.50 %\t0.61 ms\t0:02",
        ]
    async with open_report(runs / "fast") as page:
        await expect(page.locator("#nodes")).to_have_count(0)
        rows = page.locator(".setting-table tr", has_text="Part of the load")
        await expect(rows).to_have_count(0)
