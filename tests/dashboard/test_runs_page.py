"""The runs in a real browser: listed, opened, compared, their files saved."""

import asyncio
import gzip
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tailrace.report.differences import in_words
from tailrace.report.subject import LABELS
from tailrace.runs.compare.compare import compare
from tailrace.runs.compare.words import judge
from tailrace.runs.directory import write_search
from tailrace.runs.listing import FILES
from tailrace.units import number
from tests.kit.plans import leave_run
from tests.kit.samples import FOUND
from tests.kit.server import Server
from tests.kit.waiting import TIMEOUT_S

Open = Callable[..., AbstractAsyncContextManager[Page]]
Room = Callable[..., AbstractAsyncContextManager[str]]

pytestmark = pytest.mark.asyncio(loop_scope="session")

CUT = """
[...document.querySelectorAll("main *")]
  .filter(element => element.scrollWidth > element.clientWidth + 1)
  .filter(element => ["auto", "hidden"].includes(getComputedStyle(element).overflowX))
  .filter(element => element.clientWidth > 1 && !element.matches("canvas, .xray-part"))
  .map(element => `${element.className}: ${element.textContent.slice(0, 80)}`)
"""
"""What is cut off, or can only be read by scrolling sideways."""

ODD = 'odd & <b>"name"?#%41é'
"""A name that HTML and addresses must both be told with care."""


def set_started(path: Path, started: str) -> None:
    asked = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(asked | {"started": started}))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs: two finished, one interrupted, one of an odd name."""
    base = tmp_path_factory.mktemp("runs")

    settings = {"duration_s": 2.0, "interval_s": 0.25, "min_duration_s": 1}
    async with Server() as server:
        url = f"{server.url}infer"
        await leave_run(base / "quiet", url, "100", slo="p99<5s", **settings)
        await leave_run(base / "busy", url, "600", slo="mean<1us", **settings)
    shutil.copytree(base / "busy", base / "killed")
    (base / "killed" / "result.json").unlink()
    shutil.copytree(base / "quiet", base / ODD)
    for name, day in (("quiet", 4), ("busy", 3), ("killed", 2), (ODD, 1)):
        set_started(base / name, f"2030-01-0{day}T10:11:12.131+00:00")
    return base


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def url(runs: Path) -> AsyncIterator[str]:
    """A control room of these runs, shared by the module's tests."""
    room = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("room.py")), "--runs", str(runs)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert room.stdout is not None
    yield (await room.stdout.readline()).decode().strip()
    room.terminate()
    await room.wait()


def result_of(runs: Path, name: str) -> Any:
    return json.loads((runs / name / "result.json").read_text())


async def listed(page: Page) -> list[str | None]:
    rows = await page.locator("tbody tr").all()
    return [await row.get_attribute("data-run") for row in rows]


@pytest.mark.smoke
async def test_runs_are_listed_newest_first(url: str, runs: Path, open_page: Open) -> None:
    async with open_page(f"{url}/runs") as page:
        await expect(page.get_by_test_id("count")).to_have_text("4 in all")
        assert await listed(page) == ["quiet", "busy", "killed", ODD]
        quiet = page.locator('[data-run="quiet"]')
        result = result_of(runs, "quiet")
        for said in ("2030-01-04 10:11:12", "100", "finished", "0:02", f"{result['completed']}"):
            await expect(quiet).to_contain_text(said)
        await expect(quiet).to_contain_text("VALID")
        await expect(quiet).to_contain_text("p99<5s not decided yet")
        killed = page.locator('[data-run="killed"]')
        await expect(killed).to_contain_text("interrupted")
        await expect(killed).to_contain_text("mean<1us broken")
        await expect(page.locator("tbody tr").nth(3)).to_contain_text(ODD)


async def test_columns_sort_both_ways(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/runs") as page:
        table = page.get_by_role("region", name="Table of runs")
        heads = await table.locator("thead th").count()
        assert await table.locator("[data-run='quiet'] > *").count() == heads
        header = page.get_by_role("columnheader", name="Completed")
        await header.get_by_role("button").click()
        await expect(header).to_have_attribute("aria-sort", "descending")
        assert set((await listed(page))[:2]) == {"busy", "killed"}
        await header.get_by_role("button").press("Enter")
        await expect(header).to_have_attribute("aria-sort", "ascending")
        assert set((await listed(page))[:2]) == {"quiet", ODD}
        await page.get_by_role("button", name="Verdict").click()
        await expect(header).not_to_have_attribute("aria-sort", re.compile("."))


async def test_the_tools_of_the_list_are_a_row(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/runs") as page:
        top = "element => element.getBoundingClientRect().top"
        tools = [page.get_by_test_id(name) for name in ("filter", "compare", "report")]
        assert len({await tool.evaluate(top) for tool in tools}) == 1


async def test_a_filter_narrows_the_list(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/runs") as page:
        await page.get_by_label("Filter runs").fill("FINISHED bus")
        await expect(page.get_by_test_id("count")).to_have_text("1 of 4")
        assert await listed(page) == ["busy"]
        await page.get_by_label("Filter runs").fill("")
        await expect(page.get_by_test_id("count")).to_have_text("4 in all")


@pytest.mark.smoke
async def test_a_runs_page_is_its_report(url: str, runs: Path, open_page: Open) -> None:
    result = result_of(runs, "quiet")
    async with open_page(f"{url}/runs") as page:
        await page.locator('[data-run="quiet"]').get_by_role("link").click()
        await expect(page).to_have_url(f"{url}/runs/quiet")
        await expect(page.get_by_role("heading", level=1)).to_have_text(result["target"])
        await expect(page.get_by_test_id("to-runs")).to_have_attribute("aria-current", "page")
        await expect(page.locator(".title")).to_contain_text("2030-01-04 10:11:12 UTC")
        await expect(page.locator(".judgement")).to_contain_text("p99<5s not decided yet")
        for reason in result["verdict"]["reasons"]:
            await expect(page.locator(".judgement")).to_contain_text(reason)
        ends = result["confidence_ms"]["p50"]
        span = " – ".join(map(number, ends)) if ends else "too short to tell"
        await expect(page.locator(".figures")).to_contain_text(span)
        xray = page.get_by_test_id("xray")
        await expect(xray).to_contain_text(f"{result['xray']['explains']} explains")
        await expect(xray).to_contain_text(f"({result['xray']['tail_requests']} from")
        await expect(page.locator("#timeline").get_by_test_id("moment-time")).to_contain_text(
            "0:02"
        )
        await page.get_by_test_id("to-runs").click()
        await expect(page.get_by_test_id("count")).to_have_text("4 in all")


async def test_an_interrupted_run_says_what_it_is(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/runs/killed") as page:
        await expect(page.locator(".judgement")).to_contain_text("before it could write a result")
        await expect(page.locator(".judgement .slos")).to_contain_text("mean<1us")
        await expect(page.get_by_role("link", name="timeline.jsonl")).to_be_visible()
        await expect(page.get_by_role("link", name="result.json")).to_have_count(0)
        # From the intervals that there are.
        await expect(page.get_by_test_id("xray")).to_contain_text("explains")


@pytest.mark.smoke
async def test_runs_are_compared_as_their_report_does(
    url: str, runs: Path, open_page: Open
) -> None:
    async with open_page(f"{url}/runs") as page:
        button = page.get_by_test_id("compare")
        await expect(button).to_be_disabled()
        await page.get_by_label("Choose quiet").press("Space")
        await expect(button).to_be_disabled()
        await page.get_by_label("Choose busy").check()
        await button.click()
        await expect(page).to_have_url(f"{url}/runs/quiet?with=busy")
        found = compare([runs / "quiet"], [runs / "busy"])
        await expect(page.locator(".findings")).to_contain_text(in_words(found, "A"))
        for row, difference in zip(
            await page.locator(".differences-table tbody tr").all(), found.differences, strict=True
        ):
            await expect(row.locator("td").nth(1)).to_contain_text(judge(difference))
        await page.get_by_role("link", name="Swap").click()
        await expect(page).to_have_url(f"{url}/runs/busy?with=quiet")
        back = compare([runs / "busy"], [runs / "quiet"])
        await expect(page.locator(".findings")).to_contain_text(in_words(back, "A"))
        await page.get_by_role("link", name="quiet", exact=True).click()
        await expect(page).to_have_url(f"{url}/runs/quiet")


async def test_as_many_runs_are_compared_as_a_report_takes(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/runs") as page:
        for name in ("quiet", "busy", "killed"):
            await page.get_by_label(f"Choose {name}").check()
        await page.get_by_test_id("compare").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("3 runs compared")
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S) as rest:
        many = "&".join(["with=quiet"] * len(LABELS))
        assert f"{len(LABELS)} at most" in (await rest.get(f"/runs/busy?{many}")).text


async def test_a_run_is_named_annotated_and_deleted(
    runs: Path, tmp_path: Path, room: Room, open_page: Open
) -> None:
    shutil.copytree(runs / "busy", tmp_path / "mine")
    async with room("--runs", str(tmp_path)) as address:
        async with open_page(f"{address}/runs/mine") as page:
            await page.get_by_test_id("label").click()
            await page.get_by_test_id("label-title").fill("  Two <b>workers</b> ")
            await page.get_by_test_id("label-note").fill("first line\nafter the <i>driver</i>")
            await page.get_by_test_id("label-save").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("Two <b>workers</b>")
            written = page.locator(".title p:not(.url, .hint)")
            await expect(written).to_have_text(["first line", "after the <i>driver</i>"])
            await page.get_by_test_id("label").click()
            await expect(page.get_by_test_id("label-title")).to_have_value("Two <b>workers</b>")
            await page.get_by_test_id("label-note").fill("")
            await page.get_by_test_id("label-save").click()
            await expect(written).to_have_count(0)
            await page.goto(f"{address}/runs")
            row = page.locator('[data-run="mine"]')
            await expect(row.get_by_role("link")).to_have_text("Two <b>workers</b>")
            await page.get_by_label("Filter runs").fill("<B>WORK")
            assert await listed(page) == ["mine"]
            await row.get_by_role("link").click()
            await page.get_by_test_id("delete").click()
            await page.get_by_test_id("delete-really").click()
            await expect(page.get_by_test_id("no-runs")).to_be_visible()
        assert list(tmp_path.iterdir()) == []


async def test_a_search_is_listed_shown_and_reported(
    tmp_path: Path, room: Room, open_page: Open
) -> None:
    write_search(tmp_path / "s", FOUND)
    phone = {"width": 375, "height": 812}
    async with room("--runs", str(tmp_path)) as address:
        async with open_page(f"{address}/runs", viewport=phone) as page:
            row = page.locator('[data-search="s"]')
            for said in (FOUND.slo, "420", "confirmed"):
                await expect(row).to_contain_text(said)
            assert await page.evaluate(CUT) == []
            await row.get_by_role("link").click()
            await expect(page.locator(".judgement")).to_contain_text(FOUND.reason)
            await expect(page.locator(".judgement")).to_contain_text("420/s")
            steps = page.locator(".steps-table tbody tr")
            await expect(steps).to_have_count(len(FOUND.steps))
            await expect(steps.nth(1)).to_contain_text("breaks")
            assert await page.evaluate(CUT) == []
            async with page.expect_download() as started:
                await page.get_by_test_id("report").click()
            report = (await (await started.value).path()).read_text("utf-8")
            assert "Highest rate within the SLO" in report
            await page.get_by_test_id("delete").click()
            await page.get_by_test_id("delete-really").click()
            await expect(page.get_by_test_id("no-runs")).to_be_visible()
        assert list(tmp_path.iterdir()) == []


async def test_what_cannot_be_read_says_why_and_can_be_deleted(tmp_path: Path, room: Room) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "find.json").write_text("{")
    async with (
        room("--runs", str(tmp_path)) as address,
        httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S) as rest,
    ):
        answer = await rest.get("/runs/s")
        assert answer.status_code == 200
        assert "find.json cannot be read" in answer.text
        assert 'data-testid="delete"' in answer.text
        # The rest of its policy stands in the page, whose scripts have a number of their own.
        assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
        assert "script-src &#x27;nonce-" in answer.text
        assert (await rest.delete("/api/runs/s")).status_code == 204
        assert (await rest.get("/runs/s")).status_code == 404


async def test_an_odd_name_is_only_text(url: str, runs: Path, open_page: Open) -> None:
    async with open_page(f"{url}/runs") as page:
        await page.locator("tbody tr").nth(3).get_by_role("link").click()
        await expect(page.locator(".title")).to_contain_text(ODD)
        async with page.expect_download() as started:
            await page.get_by_role("link", name="timeline.jsonl").click()
        saved = await (await started.value).path()
        assert saved.read_bytes() == (runs / ODD / "timeline.jsonl").read_bytes()


async def test_an_hour_is_thinned_for_the_page_and_compressed_for_everyone(
    runs: Path, tmp_path: Path, room: Room, open_page: Open
) -> None:
    shutil.copytree(runs / "busy", tmp_path / "hour")
    first = json.loads((tmp_path / "hour" / "timeline.jsonl").read_text().splitlines()[0])
    whole = [
        first | {"index": second, "t_s": second + 1, "wall_time": 1e9 + second, "interval_s": 1}
        for second in range(3600)
    ]
    (tmp_path / "hour" / "timeline.jsonl").write_text("\n".join(map(json.dumps, whole)))
    async with room("--runs", str(tmp_path)) as address:
        async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S) as rest:
            async with rest.stream("GET", "/api/runs/hour") as answer:
                packed = b"".join([part async for part in answer.aiter_raw()])
            assert answer.headers["content-encoding"] == "gzip"
            told = json.loads(gzip.decompress(packed))
            assert len(packed) < len(json.dumps(told)) / 5
            assert len(told["points"]) == 3600
            async with rest.stream("GET", "/api/services/s1/stream") as events:
                assert "content-encoding" not in events.headers
                assert (await anext(events.aiter_lines())).startswith("data:")
        async with open_page(f"{address}/runs/hour") as page:
            await expect(page.locator("#timeline")).to_contain_text("2 at a time", timeout=30_000)
            await expect(page.locator("#timeline").get_by_test_id("moment-time")).to_contain_text(
                "1:00:00"
            )


async def test_the_files_are_saved_as_they_are(url: str, runs: Path) -> None:
    async with httpx.AsyncClient(base_url=url) as rest:
        for name in FILES:
            answer = await rest.get(f"/runs/busy/{name}")
            assert answer.content == (runs / "busy" / name).read_bytes()
            assert "attachment" in answer.headers["content-disposition"]
            assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_report_is_saved_of_one_run_or_two(url: str, open_page: Open) -> None:
    async with open_page(f"{url}/runs/quiet?with=busy") as page:
        async with page.expect_download() as started:
            await page.get_by_test_id("report").click()
        download = await started.value
        assert download.suggested_filename == "report-quiet-busy.html"
        text = (await download.path()).read_text("utf-8")
        assert text.startswith("<!doctype html>")
        assert "2 runs compared" in text
    async with open_page(f"{url}/runs") as page:
        button = page.get_by_test_id("report")
        await expect(button).to_be_disabled()
        await page.get_by_label("Choose busy").check()
        async with page.expect_download() as started:
            await button.click()
        assert (await started.value).suggested_filename == "report-busy.html"


@pytest.mark.parametrize(
    "path",
    [
        "/runs/nothing/report",
        "/runs/busy/report?with=nothing",
        "/runs/..%2fouter/report",
        "/runs/busy/secret",
        "/runs/killed/result.json",
        "/runs/nothing/run.json",
        "/runs/busy%2f..%2f../run.json",
        "/runs/..%2fouter/run.json",
        "/runs/%2e%2e/run.json",
        "/runs/%2fetc/passwd",
        "/runs/busy/..%2f..%2frun.json",
        "/runs/%00/run.json",
    ],
)
async def test_nothing_else_can_be_fetched(url: str, runs: Path, path: str) -> None:
    (runs.parent / "outer").mkdir(exist_ok=True)
    (runs.parent / "outer" / "run.json").write_text("{}")
    (runs.parent / "run.json").write_text("{}")
    (runs / "busy" / "secret").write_text("secret")
    async with httpx.AsyncClient(base_url=url) as rest:
        assert (await rest.get(path)).status_code == 404


async def test_an_unknown_run_is_not_found(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as rest:
        for path in ("/runs/nothing", "/runs/busy?with=nothing"):
            answer = await rest.get(path)
            assert answer.status_code == 404
            assert "There is no run" in answer.text


async def test_a_run_in_progress_ends_before_ones_eyes(open_page: Open, room: Room) -> None:
    async with room() as address, open_page(f"{address}/runs") as page:
        await expect(page.get_by_test_id("no-runs")).to_be_visible()
        async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT_S) as rest:
            (await rest.post("/api/services/s1/start")).raise_for_status()
            await expect(page.locator("tbody tr")).to_contain_text("running", timeout=20_000)
            await page.locator("tbody").get_by_role("link").click()
            await expect(page.locator(".judgement")).to_contain_text("In progress")
            await expect(page.get_by_test_id("delete")).to_have_count(0)
            await page.get_by_role("link", name="Runs", exact=True).click()
            (await rest.post("/api/services/s1/stop")).raise_for_status()
        await expect(page.locator("tbody tr")).to_contain_text("finished", timeout=20_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/runs", "/runs/busy", "/runs/quiet?with=killed"])
async def test_everyone_can_use_it(url: str, open_page: Open, path: str, scheme: str) -> None:
    phone = {"width": 375, "height": 812}
    async with open_page(f"{url}{path}", color_scheme=scheme, viewport=phone) as page:
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == 375
        for viewport in (phone, {"width": 1400, "height": 900}):
            await page.set_viewport_size(viewport)
            # Its fetching of style sheets would bring up the page's loading bar, and trip over it.
            found = (await Axe().run(page, options={"preload": False})).response["violations"]
            assert await page.evaluate(CUT) == []
            grave = [each for each in found if each["impact"] in ("serious", "critical")]
            assert [each["nodes"][0]["html"] for each in grave] == []
