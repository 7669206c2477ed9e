"""The X-ray as it is drawn, and as a browser takes it of many intervals."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from tailrace.load.measure.breakdown import Xray
from tailrace.load.measure.histogram import BINS_PER_DECADE
from tailrace.load.measure.point import Point
from tailrace.view.markup import STATIC
from tests.kit.samples import POINT, xray_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

ORIGIN = "http://xray.test"
PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><title>X-ray</title>
<link rel="stylesheet" href="/page.css"><link rel="stylesheet" href="/xray.css">
<main><h1>X-ray</h1><section class="card xray-card"></section></main></html>"""
DRAW = """async ([xray, label]) => {
  const { drawXray } = await import("/timeline/xray.js");
  const { Palette } = await import("/timeline/palette.js");
  const stages = new Palette("c-stage", 10);
  stages.meet(["queue", "infer", "<b>db</b>"]);
  document.querySelector("section").replaceChildren(drawXray(xray, stages, label));
}"""

XRAY = Xray(
    tail_requests=12,
    median_requests=240,
    from_ms=39.8107,
    tail_ms={"send-lag": 0.2, "network": 1.0, "queue": 6.8, "infer": 42.0, "<b>db</b>": 0.0},
    median_ms={"send-lag": 0.1, "network": 0.9, "queue": 0.0, "infer": 8.0, "<b>db</b>": 1.0},
    gap_ms={"send-lag": 0.1, "network": 0.1, "queue": 6.8, "infer": 34.0, "<b>db</b>": -1.0},
    explains="infer",
)


@pytest_asyncio.fixture(loop_scope="session", params=["light", "dark"])
async def page(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    async def answer(route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN)
        if path == "/":
            await route.fulfill(body=PAGE.format(theme=request.param), content_type="text/html")
        else:
            await route.fulfill(path=STATIC / path.removeprefix("/"))

    context = await browser.new_context()
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    await page.route("**/*", answer)
    await page.goto(f"{ORIGIN}/")
    yield page
    await context.close()
    assert errors == []


async def draw_xray(page: Page, xray: Xray | None, label: str = "Tail X-ray") -> None:
    await page.evaluate(DRAW, [msgspec.to_builtins(xray), label])


async def widths(page: Page, row: int) -> list[float]:
    """Of the parts of a bar, as shares of the bar."""
    shares: list[float] = (
        await page.locator(".xray-bar")
        .nth(row)
        .evaluate(
            "bar => [...bar.children].map((part) => part.getBoundingClientRect().width"
            " / bar.getBoundingClientRect().width)"
        )
    )
    return shares


@pytest.mark.smoke
async def test_bars_are_as_long_as_the_time(page: Page) -> None:
    await draw_xray(page, XRAY)
    assert await widths(page, 0) == pytest.approx(
        [v / 50 for v in XRAY.median_ms.values()], abs=0.01
    )
    assert await widths(page, 1) == pytest.approx([v / 50 for v in XRAY.tail_ms.values()], abs=0.01)
    await expect(page.locator(".xray-ms")).to_have_text(["10.0 ms", "50.0 ms"])


async def test_it_says_what_explains_the_gap(page: Page) -> None:
    await draw_xray(page, XRAY, label="A: ")
    await expect(page.locator(".xray-said")).to_have_text(
        "A: infer explains 85 % of the gap of 40.0 ms between the median and the slowest 1 % "
        "(12 from 39.8 ms on)."
    )
    parts = page.locator(".xray-parts > div")
    await expect(parts).to_have_text(
        [
            "send-lag0.10 → 0.20 ms",
            "network0.90 → 1.00 ms",
            "queue0.00 → 6.80 ms",
            "infer8.00 → 42.0 ms",
            "<b>db</b>1.00 → 0.00 ms",
        ]
    )
    await expect(page.locator(".xray-parts .explains")).to_contain_text("infer")
    results = await Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


async def test_none_and_no_gap(page: Page) -> None:
    await draw_xray(page, None)
    await expect(page.locator(".xray-said")).to_contain_text("once 100 requests")
    flat: Any = msgspec.structs.replace(
        XRAY, tail_ms=XRAY.median_ms, gap_ms=dict.fromkeys(XRAY.gap_ms, 0.0), explains=None
    )
    await draw_xray(page, flat)
    await expect(page.locator(".xray-said")).to_contain_text("took the same time")


def intervals(seed: int, most: int) -> list[Point]:
    """Up to `most` requests in each of five intervals, of any latency and components."""
    generator = np.random.default_rng(seed)
    points = []
    for index in range(5):
        numbers = sorted(generator.choice(200, generator.integers(0, 30), replace=False).tolist())
        counts = {number: int(generator.integers(1, most)) for number in numbers}
        components = ["infer", "send-lag", "queue", "connect", "service"][: 1 + index]
        points.append(
            msgspec.structs.replace(
                POINT,
                latency_bins=counts,
                components_us={
                    name: tuple(generator.integers(0, 10**9, len(numbers)).tolist())
                    for name in components
                },
            )
        )
    return points


async def test_a_browser_takes_the_same_as_the_server(page: Page) -> None:
    cases = [intervals(seed, most) for seed in range(20) for most in (3, 300)]
    found = await page.evaluate(
        """async ([cases, binsPerDecade]) => {
          const { digest, xrayOf } = await import("/timeline/xray.js");
          return cases.map((points) => xrayOf(points.map(digest), binsPerDecade));
        }""",
        [msgspec.to_builtins(cases, str_keys=True), BINS_PER_DECADE],
    )
    expected = [msgspec.to_builtins(xray_of(points)) for points in cases]
    assert any(xray is None for xray in expected)
    for own, theirs in zip(found, expected, strict=True):
        if theirs is None:
            assert own is None
            continue
        assert own.keys() == theirs.keys()
        for name, value in theirs.items():
            if isinstance(value, dict):
                assert list(own[name]) == list(value)
                assert own[name] == pytest.approx(value, abs=1e-4)
            elif isinstance(value, float):
                assert own[name] == pytest.approx(value, abs=1e-4)
            else:
                assert own[name] == value
