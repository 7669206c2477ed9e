"""How soon a change of the rate is felt by the service, through each face; and whether a hundred
changes a second disturb the pacing.

python -m benchmarks.control.steering [--changes 60] [--rounds 3] [--seconds 20]
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import cast

import httpx

import tailrace
from benchmarks.common import CLIENT_CORE, nginx, spread
from benchmarks.control.room import Room, room
from tailrace.control.config import ServiceConfig

SLOW, FAST = 5.0, 1000.0
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SetRate = Callable[[float], Awaitable[object]]


class Target(asyncio.Protocol):
    """Answers ok, and notes when each request came."""

    arrived: list[float]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        type(self).arrived.append(time.monotonic())
        self.transport.write(_OK * data.count(b"\r\n\r\n"))


async def felt_after_ms(set_rate: SetRate) -> tuple[float, float]:
    """(until requests came at the new rate, until the call returned), ms since the call."""
    await set_rate(SLOW)
    await asyncio.sleep(0.4)
    Target.arrived.clear()
    began = time.monotonic()
    await set_rate(FAST)
    returned = time.monotonic()
    while True:
        pairs = zip(Target.arrived, Target.arrived[1:], strict=False)
        felt = next((second for first, second in pairs if second - first < 0.02), None)
        if felt is not None:
            return (felt - began) * 1e3, (returned - began) * 1e3
        if time.monotonic() > began + 5:
            sys.exit("the rate did not change within 5 s")
        await asyncio.sleep(0.005)


async def effect(changes: int) -> None:
    """Print how soon a change is felt, face by face."""
    loop = asyncio.get_running_loop()
    Target.arrived = []
    server = await loop.create_server(Target, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    service = ServiceConfig(id="t", url=url, arrivals="constant", profile="5", metrics_url="")
    with room() as control:
        async with (
            tailrace.connect(control.rpc) as rpc,
            tailrace.connect(control.page) as rest,
            httpx.AsyncClient(base_url=control.page) as http,
        ):
            await rpc.add(service)
            await rpc.start("t")
            faces: dict[str, SetRate] = {
                "gRPC": lambda rate: rpc.set_rate("t", rate),
                "REST": lambda rate: rest.set_rate("t", rate),
                "/setIntensity.do": lambda rate: http.get(
                    "/setIntensity.do", params={"intensity": str(rate), "serviceId": "t"}
                ),
            }
            print("| face | felt by the service after, ms: median, p99, max | call, ms: median |")
            print("| --- | --- | --- |")
            for name, set_rate in faces.items():
                times = [await felt_after_ms(set_rate) for _ in range(changes)]
                felt = sorted(first for first, _ in times)
                call = statistics.median(second for _, second in times)
                p99 = felt[min(int(len(felt) * 0.99), len(felt) - 1)]
                print(
                    f"| {name} | {statistics.median(felt):.1f}, {p99:.1f}, {felt[-1]:.1f} "
                    f"| {call:.2f} |"
                )
            await rpc.stop("t")
    server.close()


async def lag_us(control: Room, url: str, seconds: float, every_s: float | None) -> list[float]:
    """p50 and p99 of the send lag at 1,000/s, µs, while the rate is changed `every_s`."""
    async with tailrace.connect(control.rpc) as rpc:
        await rpc.add(ServiceConfig(id="n", url=url, profile="1000", metrics_url=""))
        await rpc.start("n")
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            await asyncio.sleep(every_s or 0.1)
            if every_s is not None:
                number += 1
                await rpc.set_rate("n", 1000 + number % 2)
        info = await rpc.stop("n")
        record = await rpc.run((info.run or "").rpartition("/")[2])
        await rpc.remove("n")
        assert record.result is not None
        changes = sum(e.kind == "rate" for point in record.points for e in point.events)
        assert changes == number, f"{number} changes were made, {changes} are in the timeline"
        lag = record.result.send_lag_us
        return [lag["p50"] or 0.0, lag["p99"] or 0.0, number / seconds]


async def pacing(rounds: int, seconds: float) -> None:
    """Print the send lag with and without changes, in turns."""
    kept: dict[float | None, list[list[float]]] = {None: [], 0.01: []}
    with nginx() as url, room(CLIENT_CORE) as control:
        for number in range(1, rounds + 1):
            for every_s, measured in kept.items():
                measured.append(await lag_us(control, url, seconds, every_s))
            print(f"round {number} of {rounds}", file=sys.stderr)
    print("\n| changes a second | send lag p50, µs | p99, µs |")
    print("| --- | --- | --- |")
    for measured in kept.values():
        p50, p99, per_s = zip(*measured, strict=True)
        print(f"| {statistics.median(per_s):.0f} | {spread(p50)} | {spread(p99)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    asyncio.run(effect(arguments.changes))
    asyncio.run(pacing(arguments.rounds, arguments.seconds))


if __name__ == "__main__":
    main()
