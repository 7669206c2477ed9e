"""What the control room costs with pages open: CPU and memory of the server, and how busy a page
keeps its browser.

    python -m benchmarks.control.pages [--services 8] [--browsers 3] [--interval 0.1]
        [--history 3600] [--seconds 30]

The history is filled by measuring, so an hour of 1 s intervals takes an hour; with shorter
intervals it is there sooner, and the CPU is that of so many more updates a second.
"""

import argparse
import asyncio
import sys
import time

from playwright.async_api import Page, async_playwright

import tailrace
from benchmarks.common import nginx
from benchmarks.control.room import Room, cpu_s, resident_mb, room
from tailrace.control.config import ServiceConfig
from tools.install_browser import find_browser


async def fill(control: Room, url: str, services: int, history_s: float) -> None:
    """Start the services, and wait until there is a history."""
    async with tailrace.connect(control.rpc) as rpc:
        for number in range(services):
            await rpc.add(
                ServiceConfig(
                    id=f"s{number}", url=url, profile="20", slo=("p99<100ms",), metrics_url=""
                )
            )
            await rpc.start(f"s{number}")
    end = time.monotonic() + history_s
    while time.monotonic() < end:
        print(f"{end - time.monotonic():.0f} s until the history is there", file=sys.stderr)
        await asyncio.sleep(min(30, max(end - time.monotonic(), 0)))


async def share(control: Room, seconds: float) -> float:
    """CPU of the server over the next seconds, % of a core."""
    began, used = time.monotonic(), cpu_s(control.pid)
    await asyncio.sleep(seconds)
    return 100 * (cpu_s(control.pid) - used) / (time.monotonic() - began)


async def browser_share(page: Page, seconds: float) -> tuple[float, float]:
    """(how busy the page's main thread is, % of a core; its JavaScript heap, MB)."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")

    async def read() -> dict[str, float]:
        told = await session.send("Performance.getMetrics")
        return {metric["name"]: metric["value"] for metric in told["metrics"]}

    before, began = await read(), time.monotonic()
    await asyncio.sleep(seconds)
    after = await read()
    busy = (after["TaskDuration"] - before["TaskDuration"]) / (time.monotonic() - began)
    return 100 * busy, after["JSHeapUsedSize"] / 1e6


async def measure(arguments: argparse.Namespace, url: str, control: Room) -> None:
    """Print one row for each number of browsers."""
    await fill(control, url, arguments.services, arguments.history * arguments.interval)
    print("| pages open | server CPU, % of a core | memory, MB | newest page: CPU | heap, MB |")
    print("| --- | --- | --- | --- | --- |")
    cpu = await share(control, arguments.seconds)
    print(f"| none | {cpu:.1f} | {resident_mb(control.pid):.0f} | – | – |", flush=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_browser(), args=["--no-sandbox", "--disable-gpu"]
        )
        pages: list[Page] = []
        for number in range(arguments.browsers):
            page = await (await browser.new_context()).new_page()
            path = "/services" if number == 0 else f"/services/s{number}"
            await page.goto(control.page + path)
            if number:
                await page.get_by_role("button", name="1 h").click()
            pages.append(page)
            # The history is loaded once; that is not what is measured.
            await asyncio.sleep(5)
            cpu = await share(control, arguments.seconds)
            busy, heap = await browser_share(page, 10)
            shown = "overview" if number == 0 else f"overview, {number} of a service"
            server = f"{cpu:.1f} | {resident_mb(control.pid):.0f}"
            print(f"| {shown} | {server} | {busy:.1f} | {heap:.0f} |", flush=True)
        await browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=8)
    parser.add_argument("--browsers", type=int, default=3)
    parser.add_argument("--interval", type=float, default=0.1)
    parser.add_argument("--history", type=int, default=3600)
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    with nginx() as url, room(interval_s=arguments.interval) as control:
        asyncio.run(measure(arguments, url, control))


if __name__ == "__main__":
    main()
