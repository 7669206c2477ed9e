"""The timeline in a real browser, over intervals of which every figure is known."""

import csv
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Download, Locator, Page, expect

from tailrace.load.measure.measurement import SlowRequest
from tailrace.load.measure.point import Event, Percentiles, Point

Open = Callable[..., AbstractAsyncContextManager[Page]]

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 46, 12, 18, 22
"""What a chart leaves around its plot area."""

BEGAN = 1_700_000_000.0
"""Unix time at which all runs began."""
SLOW_EVERY = 10
CHANGED_AT = 30


def p99_ms(index: int) -> float:
    """Of interval `index`: over the bound of 100 ms each tenth time."""
    return 150.0 if index % SLOW_EVERY == 3 else 9.0 + index % 7


def make(index: int, *, server: bool = True) -> Point:
    """Interval `index`, from its number alone."""
    end_s = index + 1.0
    latency = Percentiles(
        mean=5, p50=4, p90=6, p95=7, p99=p99_ms(index), p99_9=160 + index % 3, max=170
    )
    rate = 100.0 if index >= CHANGED_AT else 50.0
    event = Event(t_s=index + 0.5, wall_time=BEGAN + index + 0.5, kind="rate", text="100/s")
    slow = SlowRequest(
        latency_ms=170,
        service_ms=168,
        send_lag_ms=2,
        stages_ms={"queue": 120, "infer": 40},
    )
    is_kept = p99_ms(index) < 100 and not (index % 2 and index < CHANGED_AT)
    return Point(
        index=index,
        t_s=end_s,
        slo={"p99<100ms": is_kept},
        wall_time=BEGAN + end_s,
        interval_s=1.0,
        target_per_s=rate,
        offered=int(rate),
        sent=int(rate),
        completed=int(rate) - index % 2,
        failed={"timeout": 1} if index % 2 else {},
        rps=rate,
        qps=rate - index % 2,
        in_flight=index % 5,
        backlog=0,
        connections=4,
        cap_waits=0,
        tick_lag_ms=0.1,
        latency_ms=latency,
        service_ms=latency,
        send_lag_us=Percentiles(p50=50, p99=150, max=200),
        stages_ms={"queue": Percentiles(mean=1.5), "infer": Percentiles(mean=2.5)},
        cpu_percent=3.0,
        events=(event,) if index == CHANGED_AT else (),
        latency_bins={72: int(rate) - 1, 104: 1},
        components_us={
            "send-lag": (50 * (int(rate) - 1), 2_000),
            "network": (431 * (int(rate) - 1), 8_000),
            "queue": (500 * (int(rate) - 1), 120_000),
            "infer": (3_000 * (int(rate) - 1), 40_000),
        },
        slowest=(slow,),
        server={"cpu_percent": 130.0, "gpu_percent": 88.0} if server else {},
    )


def make_foreign(index: int) -> Point:
    """The same of a server with other stages, which answers with a redirection now and then."""
    names = {"queue": "db read", "infer": "render"}
    point = make(index)
    return msgspec.structs.replace(
        point,
        failed={"http_5xx": 1} if index % 2 else {"http_3xx": 2},
        stages_ms={names[stage]: own for stage, own in point.stages_ms.items()},
        components_us={names.get(name, name): us for name, us in point.components_us.items()},
        slowest=(),
    )


LENGTHS = {"hour": 3600, "short": 120, "run": 90, "none": 0}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gallery(tmp_path_factory: pytest.TempPathFactory, gallery_of: Any) -> AsyncIterator[str]:
    """The gallery's address."""
    folder = tmp_path_factory.mktemp("gallery")
    for name, count in LENGTHS.items():
        points = [make(index, server=name != "run") for index in range(count)]
        (folder / f"{name}.json").write_bytes(msgspec.json.encode(points))
    foreign = [make_foreign(index) for index in range(60)]
    (folder / "foreign.json").write_bytes(msgspec.json.encode(foreign))
    async with gallery_of(str(folder)) as url:
        yield url


async def drawn(page: Page, columns: int, chart: str = "latency") -> None:
    """Wait until `chart` has that many columns."""
    await expect(page.locator(f"[data-chart={chart}]")).to_have_attribute(
        "data-columns", str(columns)
    )


async def following(url: str, name: str, count: int = 1, *, told: bool = True) -> None:
    """Let `count` intervals pass."""
    async with httpx.AsyncClient(base_url=url) as client:
        known = len((await client.get(f"/data/{name}")).json())
        for index in range(known, known + count):
            content = msgspec.json.encode(make(index))
            await client.post(f"/next/{name}", params={"told": told}, content=content)


async def at(page: Page, share: float, chart: str = "latency") -> tuple[float, float]:
    """Where in the page `chart` draws what lies at that share of the time shown."""
    locator = page.locator(f"[data-chart={chart}]")
    await locator.scroll_into_view_if_needed()
    box = await locator.bounding_box()
    assert box is not None
    wide = box["width"] - LEFT_PX - RIGHT_PX
    return box["x"] + LEFT_PX + share * wide, box["y"] + box["height"] / 2


async def drag(page: Page, start: float, end: float) -> None:
    """Drag the mouse over a chart, between two shares of the time shown."""
    await page.mouse.move(*await at(page, start))
    await page.mouse.down()
    await page.mouse.move(*await at(page, end), steps=8)
    await page.mouse.up()


async def colours(locator: Locator) -> list[str]:
    """The background of each of these elements."""
    found: list[str] = await locator.evaluate_all(
        "elements => elements.map((one) => getComputedStyle(one).backgroundColor)"
    )
    return found


async def clock(page: Page, end_s: float) -> str:
    """The time of day, in the browser's zone, of the second that ends `end_s` after the start."""
    text: str = await page.evaluate(
        "ms => new Date(ms).toTimeString().slice(0, 8)", 1000 * (BEGAN + end_s)
    )
    return text


async def saved(page: Page, button: str, folder: Path) -> Path:
    """Press an export button; gives the file that it saves."""
    async with page.expect_download() as waiting:
        await page.get_by_test_id(button).click()
    download: Download = await waiting.value
    path = folder / download.suggested_filename
    await download.save_as(path)
    return path


async def shown_rows(page: Page, folder: Path) -> list[dict[str, str]]:
    """The intervals shown, by way of the CSV export."""
    path = await saved(page, "csv", folder)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def pixel(page: Page, chart: str, x: float, y: float) -> Sequence[int]:
    """The colour painted below the lines of `chart`, at CSS pixel (x, y) of it."""
    found: Sequence[int] = await page.evaluate(
        """([chart, x, y]) => {
          const canvas = document.querySelector(`[data-chart=${chart}]`).parentElement
            .querySelector(".under");
          const ratio = devicePixelRatio;
          const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
          context.drawImage(canvas, -Math.floor(x * ratio), -Math.floor(y * ratio));
          return [...context.getImageData(0, 0, 1, 1).data];
        }""",
        [chart, x, y],
    )
    return found


async def modules(page: Page, expression: str, argument: Any = None) -> Any:
    """The value of an expression in the timeline's own modules, given as `m`."""
    return await page.evaluate(
        """async ([expression, argument]) => {
          const names = ["ticks", "marks", "store", "format", "heatmap", "export"];
          const load = (name) => import(`tailrace-timeline/${name}.js`);
          const loaded = await Promise.all(names.map(load));
          return new Function("m", "argument", `return ${expression}`)(
            Object.assign({}, ...loaded), argument);
        }""",
        [expression, argument],
    )


async def test_spans_look_back_and_put_intervals_together(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/live/hour") as page:
        await drawn(page, 60)
        await page.get_by_role("button", name="15 min").click()
        await drawn(page, 300)
        await page.get_by_role("button", name="1 h", exact=True).click()
        await drawn(page, 300)
        await expect(page.get_by_test_id("timeline-status")).to_contain_text(
            "A point is 12 intervals"
        )
        # The 12 intervals that end last hold one over the bound; it is what is shown.
        await expect(page.locator("[data-series='p99'] .legend-value")).to_have_text("150")
        # Besides these, of 50 requests a failed one is more than the 1 % that p99 leaves over.
        lost = sum(index % 2 and p99_ms(index) < 100 for index in range(CHANGED_AT))
        await expect(page.locator(".panel-latency .panel-head")).to_contain_text(
            f"over the SLO in {360 + lost} of 3,600 intervals"
        )


async def test_an_interval_is_appended_and_nothing_is_made_anew(
    gallery: str, open_page: Open
) -> None:
    async with open_page(f"{gallery}/live/short") as page:
        await drawn(page, 60)
        await page.evaluate("document.querySelectorAll('canvas').forEach(one => one.kept = true)")
        before = await page.get_by_test_id("moment-time").inner_text()
        await following(gallery, "short")
        await expect(page.get_by_test_id("moment-time")).not_to_have_text(before)
        assert await page.evaluate(
            "[...document.querySelectorAll('canvas')].every(one => one.kept)"
        )


async def test_a_lost_message_is_made_good(gallery: str, open_page: Open, tmp_path: Path) -> None:
    async with open_page(f"{gallery}/live/short") as page:
        await drawn(page, 60)
        await following(gallery, "short", 3, told=False)
        await following(gallery, "short")
        latest = int((await shown_rows(page, tmp_path))[-1]["t_s"])
        await expect(page.get_by_test_id("moment-time")).to_have_text(await clock(page, latest))
        numbers = [int(row["t_s"]) for row in await shown_rows(page, tmp_path)]
        assert numbers == list(range(numbers[-1] - 59, numbers[-1] + 1))


async def test_history_that_cannot_be_had_is_asked_for_again(
    browser: Browser, gallery: str
) -> None:
    page = await browser.new_page()
    await page.goto(f"{gallery}/live/flaky")
    await drawn(page, 60)
    await page.close()


async def test_before_the_first_interval_the_hint_stands(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/live/none") as page:
        await expect(page.get_by_test_id("empty")).to_contain_text("Press Start.")
        await following(gallery, "none")
        await expect(page.get_by_test_id("empty")).to_be_hidden()


@pytest.mark.smoke
async def test_pointing_at_a_moment_explains_it(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"])
        moment = page.get_by_test_id("moment")
        await expect(page.get_by_test_id("moment-time")).to_have_text("1:30")
        await expect(moment).to_contain_text("latest")
        await page.mouse.move(*await at(page, 44 / 90))
        await expect(page.get_by_test_id("moment-time")).to_have_text("0:44")
        assert p99_ms(43) == 150
        await expect(moment.get_by_role("row", name="p99 150 150")).to_be_visible()
        await expect(moment).to_contain_text("1 timeout")
        await expect(moment.get_by_test_id("slowest")).to_contain_text("170")
        await expect(moment.get_by_test_id("slowest")).to_contain_text(
            "send lag 2.00, queue 120, infer 40.0, elsewhere 8.00"
        )
        crosses = page.locator(".panel:not([hidden]) .cross")
        assert await crosses.count() == 7
        for cross in await crosses.all():
            await expect(cross).to_be_visible()
        await page.mouse.move(5, 5)
        await expect(page.get_by_test_id("moment-time")).to_have_text("1:30")
        await expect(crosses.first).to_be_hidden()


async def test_the_xray_is_of_what_is_shown(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"])
        said = page.get_by_test_id("xray").locator(".xray-said")
        # 30 intervals of 50 requests and 60 of 100.
        await expect(said).to_contain_text("queue explains 72 % of the gap of 166 ms")
        await expect(said).to_contain_text("(75 from 158 ms on)")
        await expect(page.get_by_test_id("xray")).to_contain_text("queue0.50 → 120 ms")
        await page.get_by_test_id("charts").focus()
        await page.keyboard.press("+")
        await expect(said).not_to_contain_text("(75 from")
        await expect(said).to_contain_text("queue explains 72 %")
        await page.keyboard.press("Escape")
        await expect(said).to_contain_text("(75 from")


async def test_a_moment_is_held_by_a_click(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"])
        await page.mouse.click(*await at(page, 30 / 90))
        await page.mouse.move(*await at(page, 60 / 90))
        await expect(page.get_by_test_id("moment-time")).to_have_text("0:30")
        await page.get_by_test_id("release").click()
        await expect(page.get_by_test_id("moment-time")).to_have_text("1:30")


async def test_all_of_it_by_keyboard(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"])
        charts, time = page.get_by_test_id("charts"), page.get_by_test_id("moment-time")
        await charts.focus()
        outline = await charts.evaluate("element => getComputedStyle(element).outlineStyle")
        assert outline != "none"
        for key, shown in [
            ("ArrowLeft", "1:30"),
            ("ArrowLeft", "1:29"),
            ("PageUp", "1:19"),
            ("ArrowRight", "1:20"),
            ("Home", "0:01"),
            ("ArrowLeft", "0:01"),
            ("End", "1:30"),
            ("PageUp", "1:20"),
        ]:
            await page.keyboard.press(key)
            await expect(time).to_have_text(shown)
        said = page.get_by_test_id("moment").locator("[aria-live]")
        await expect(said).to_have_text("1:20: p50 4.00, p99 11.0 ms, 1 failed")
        await page.keyboard.press("+")
        await drawn(page, 45)
        await page.keyboard.press("-")
        await drawn(page, 90)
        await page.keyboard.press("+")
        await page.keyboard.press("Escape")
        await drawn(page, 90)
        await page.keyboard.press("Escape")
        await expect(page.get_by_test_id("moment")).to_contain_text("latest")


async def test_dragging_zooms_and_escape_zooms_back(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"])
        await expect(page.get_by_test_id("back")).to_be_hidden()
        await drag(page, 30.2 / 90, 60.2 / 90)
        await drawn(page, 30)
        await expect(page.get_by_test_id("timeline-status")).to_have_text("0:30 – 1:00")
        await drag(page, 0.5, 0.7)
        await drawn(page, 6)
        await page.get_by_test_id("charts").focus()
        await page.keyboard.press("Escape")
        await drawn(page, 30)
        await page.get_by_test_id("back").click()
        await drawn(page, 90)


async def test_a_pause_stands_still_and_loses_nothing(
    gallery: str, open_page: Open, tmp_path: Path
) -> None:
    async with open_page(f"{gallery}/live/short") as page:
        await drawn(page, 60)
        await page.get_by_test_id("pause").click()
        before = await page.get_by_test_id("moment-time").inner_text()
        await following(gallery, "short", 4)
        await expect(page.get_by_test_id("timeline-status")).to_have_text("Paused, 4 s behind")
        await expect(page.get_by_test_id("moment-time")).to_have_text(before)
        stood = [row["t_s"] for row in await shown_rows(page, tmp_path)]
        await page.get_by_test_id("pause").click()
        await expect(page.get_by_test_id("moment-time")).not_to_have_text(before)
        now = [row["t_s"] for row in await shown_rows(page, tmp_path)]
        assert now[:-4] == stood[4:]
        assert len(now) == 60


async def test_csv_has_the_intervals_shown(gallery: str, open_page: Open, tmp_path: Path) -> None:
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"])
        await drag(page, 20.2 / 90, 40.2 / 90)
        await drawn(page, 20)
        rows = await shown_rows(page, tmp_path)
    assert [int(row["t_s"]) for row in rows] == list(range(21, 41))
    for row in rows:
        point = make(int(row["t_s"]) - 1, server=False)
        assert row["source"] == "a"
        assert float(row["latency_ms.p99"]) == point.latency_ms.p99
        assert float(row["latency_ms.p99.9"]) == point.latency_ms.p99_9
        assert float(row["stages_ms.infer.mean"]) == 2.5
        assert int(row["failed.timeout"]) == point.failed.get("timeout", 0)
        assert row["events"] == ("100/s" if point.index == CHANGED_AT else "")


async def test_the_heatmap_is_dark_where_most_requests_are(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"], "heatmap")
        box = await page.locator("[data-chart=heatmap]").bounding_box()
        assert box is not None
        ticks = await modules(
            page, "m.logTicks(...argument)", [10 ** (72 / 20 - 3), 10 ** (105 / 20 - 3)]
        )
        high, low = np.log10(ticks["max"]), np.log10(ticks["min"])

        tall = box["height"] - TOP_PX - BOTTOM_PX

        def y(bin_: float) -> float:
            return float(TOP_PX + tall * (high - (bin_ / 20 - 3)) / (high - low))

        x = LEFT_PX + 0.8 * (box["width"] - LEFT_PX - RIGHT_PX)
        many, few, none = [await pixel(page, "heatmap", x, y(bin_)) for bin_ in (72.5, 104.5, 90)]
        assert many[3] == few[3] == 255
        assert sum(many[:3]) < sum(few[:3]) - 100
        assert none[3] == 0
        await expect(page.locator(".heat-legend")).to_contain_text("100 req/s")


async def test_what_breaks_the_slo_is_tinted(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"])
        box = await page.locator("[data-chart=latency]").bounding_box()
        assert box is not None
        wide = box["width"] - LEFT_PX - RIGHT_PX
        broken, kept = [
            await pixel(page, "latency", LEFT_PX + (index + 0.5) / 90 * wide, TOP_PX + 1)
            for index in (43, 45)
        ]
        assert broken[3] == 255
        assert kept[3] == 0


async def test_charts_appear_only_where_there_is_something_to_show(
    gallery: str, open_page: Open
) -> None:
    async with open_page(f"{gallery}/live/hour") as page:
        await expect(page.locator(".panel-server .legend")).to_contain_text("GPU 88.0")
        await expect(page.locator(".panel-stages .legend")).to_contain_text("infer 2.50")
        await expect(page.locator(".panel-failures [data-series=timeout]")).to_be_visible()
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"])
        await expect(page.locator(".panel-server")).to_be_hidden()


async def test_stages_and_failures_are_those_that_the_data_name(
    gallery: str, open_page: Open
) -> None:
    async with open_page(f"{gallery}/live/foreign") as page:
        await drawn(page, 60, "stages")
        stages = page.locator(".panel-stages .legend-item")
        await expect(stages).to_have_text(["db read 1.50", "render 2.50"])
        failures = page.locator(".panel-failures .legend-item")
        await expect(failures).to_have_text(["http_3xx –", "http_5xx 1.00"])
        assert len(set(await colours(failures.locator(".swatch")))) == 2
        # Wherever a stage is drawn it has the same colour.
        own = await colours(stages.locator(".swatch"))
        assert len(set(own)) == 2
        assert await colours(page.get_by_test_id("moment").locator(".parts .swatch")) == own
        xray = page.locator(".xray-parts dt", has_text=re.compile("db read|render"))
        assert await colours(xray.locator(".xray-swatch")) == own
        await following(gallery, "foreign", 2)
        await expect(stages).to_have_text(["db read –", "render –", "queue 1.50", "infer 2.50"])
        await expect(failures.last).to_have_text("timeout 1.00")
        assert (await colours(stages.locator(".swatch")))[:2] == own


async def test_a_series_is_switched_off_and_on(gallery: str, open_page: Open) -> None:
    series = """() => {
      const { timeline } = getElement(Number(
        document.querySelector("[data-testid=timeline]").id.slice(1)));
      const plot = timeline.plots.find((one) => one.chart.name === "latency");
      return plot.drawing.getOption().series.find((one) => one.id === "p50").data.length;
    }"""
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"])
        assert await page.evaluate(series) == LENGTHS["run"]
        button = page.locator(".panel-latency [data-series=p50]")
        await button.press("Enter")
        await expect(button).to_have_attribute("aria-pressed", "false")
        await page.wait_for_function(f"({series})() === 0")
        await button.click()
        await page.wait_for_function(f"({series})() === {LENGTHS['run']}")


async def test_a_chart_says_in_words_what_it_shows(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/run") as page:
        await drawn(page, LENGTHS["run"])
        await expect(page.locator("[data-chart=latency]")).to_have_attribute(
            "aria-label", "Latency over time, ms. 1:30: p50 4.00, p99 14.0, p99.9 162"
        )


async def test_a_finger_chooses_a_moment(gallery: str, open_page: Open) -> None:
    phone = {"viewport": {"width": 375, "height": 812}, "has_touch": True, "is_mobile": True}
    async with open_page(f"{gallery}/run", **phone) as page:
        await drawn(page, LENGTHS["run"])
        await page.touchscreen.tap(*await at(page, 44 / 90))
        await expect(page.get_by_test_id("moment-time")).to_have_text("0:44")
        await expect(page.get_by_test_id("moment-time")).to_be_in_viewport()
        await page.touchscreen.tap(*await at(page, 60 / 90))
        await expect(page.get_by_test_id("moment-time")).to_have_text("1:00")
        await page.get_by_test_id("release").tap()
        await expect(page.get_by_test_id("moment")).to_contain_text("latest")
        assert await page.evaluate("document.documentElement.scrollWidth") == 375


async def test_marks_are_thinned_where_there_are_many(gallery: str, open_page: Open) -> None:
    async with open_page(f"{gallery}/run") as page:
        few, many = await modules(
            page,
            """[[10, 40], [...Array(6000).keys()].map((n) => n / 100)].map((times) => m.marks(
                 [{ events: times.map((t_s) => ({ t_s, text: `${t_s}/s`, kind: "rate" })) }],
                 [0, 60_000], 600, (event) => 1000 * event.t_s))""",
        )
    assert [(mark["at"], mark["text"], mark["named"]) for mark in few] == [
        (10_000, "10/s", True),
        (40_000, "40/s", True),
    ]
    assert len(many) <= 51
    assert sum(mark["named"] for mark in many) <= 10
    assert "(+" in many[0]["text"]


@pytest.mark.parametrize(
    ("low", "high"), [(0.04, 0.05), (1, 1), (3, 9000), (0.001, 100_000), (99, 100)]
)
async def test_the_log_axis_holds_all_values_and_few_ticks(
    gallery: str, open_page: Open, low: float, high: float
) -> None:
    async with open_page(f"{gallery}/run") as page:
        ticks = await modules(page, "m.logTicks(...argument)", [low, high])
    assert ticks["min"] <= low <= high <= ticks["max"]
    assert 2 <= len(ticks["shown"]) <= 10
    assert all(ticks["min"] <= tick <= ticks["max"] for tick in ticks["shown"])


async def test_columns_keep_their_bounds_as_time_goes_on(gallery: str, open_page: Open) -> None:
    """A column that is complete never changes again, and no interval is in none or in two."""
    async with open_page(f"{gallery}/run") as page:
        found = await modules(
            page,
            """(() => {
              const store = new m.Store({ label: "", url: "" }, false, 3600);
              store.loaded = true;
              const point = (index) => (
                { index, t_s: index + 1, wall_time: index + 1, interval_s: 1,
                  stages_ms: {}, failed: {} });
              const bounds = [];
              for (let index = 0; index < 1000; index++) {
                store.add(point(index));
                if (index < 900) continue;
                const columns = store.columns([1000 * (index - 899), 1000 * (index + 1)]);
                bounds.push(columns.map(({ points }) => [points[0].index, points.at(-1).index]));
              }
              return bounds;
            })()""",
        )
    assert all(len(bounds) in (300, 301) for bounds in found)
    for before, now in pairwise(found):
        settled = {tuple(bound) for bound in before[:-1]} - {tuple(before[0])}
        assert settled <= {tuple(bound) for bound in now} | {tuple(before[1])}
        assert all(first[1] + 1 == second[0] for first, second in pairwise(now))
