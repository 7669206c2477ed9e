"""Holds a service at its SLO: reads the p99 once a second and raises or lowers the rate to suit.

    tailrace dashboard http://127.0.0.1:5000/helloworld &
    python examples/hold_slo.py 127.0.0.1-5000 --p99-ms 50 --rate 100 --step 20

It is a scheduler's view of a service whose load it steers, from a process, or a machine, of its
own. The rule is that of TCP (additive increase, multiplicative decrease): a little more each second
as long as p99 is well within the bound, much less at once when it is not.

Calls of the original's RMI interface, and what they are here:

    execStartHttpLoader              room.start(service, rate)
    execStopHttpLoader               room.stop(service)
    setIntensity                     room.set_rate(service, rate)
    getRealPerSec99thLatency         (await room.latest(service)).latency_ms.p99
    getRealRequestIntensity          (await room.latest(service)).rps
    getRealQueryIntensity            (await room.latest(service)).qps
    getWindowAvgPerSec99thLatency    (await room.window(service)).avg_99th_ms
    getWindowAvgServiceRate          (await room.window(service)).sr_percent
"""

import argparse
import asyncio
import os
import sys

import tailrace
from tailrace.control.interface import LoadControl
from tailrace.errors import TailraceError

HEADROOM = 0.7
"""Below this share of the bound there is room for more."""


async def hold(room: LoadControl, asked: argparse.Namespace) -> None:
    """Steer the service for `asked.seconds`; a line a second says what was read and done."""
    service, rate = asked.service, asked.rate
    await room.start(service, rate)
    wait_for = 0
    try:
        for _ in range(asked.seconds):
            await asyncio.sleep(1)
            point = await room.latest(service)
            # A change shows in full in the first interval that began after it.
            if point is None or point.index < wait_for:
                continue
            p99 = point.latency_ms.p99
            if p99 is None or p99 >= asked.p99_ms or point.failed:
                rate, done, wait_for = rate * asked.backoff, "less", point.index + 3
            elif p99 < HEADROOM * asked.p99_ms:
                rate, done, wait_for = rate + asked.step, "more", point.index + 1
            else:
                done = "as is"
            await room.set_rate(service, rate)
            print(
                f"{point.t_s:5.0f} s  p99 {'–' if p99 is None else f'{p99:.1f}'} ms  "
                f"RPS {point.rps:.0f}  QPS {point.qps:.0f}  {done}: {rate:.0f}/s",
                flush=True,
            )
        window = await room.window(service)
        print(
            f"the last {window.seconds:.0f} s: p99 {window.latency_ms.p99} ms, mean of each "
            f"second's p99 {window.avg_99th_ms} ms, service rate {window.sr_percent} %"
        )
    finally:
        await room.stop(service)


async def main() -> None:
    """Read the command line, connect, steer."""
    parser = argparse.ArgumentParser(
        description="Hold a service at a bound on its p99, by steering the rate.",
        epilog="example: hold_slo.py triton --p99-ms 100 --rate 50 --step 10 --seconds 300",
    )
    parser.add_argument("service", help="id of the service in the control room")
    parser.add_argument("--room", default="127.0.0.1:2222", help="HOST:PORT (gRPC) or http://…")
    parser.add_argument("--p99-ms", type=float, default=100.0, help="the bound")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second at first")
    parser.add_argument("--step", type=float, default=10.0, help="how much more, each second")
    parser.add_argument("--backoff", type=float, default=0.6, help="times this when it is broken")
    parser.add_argument("--seconds", type=int, default=60, help="how long")
    asked = parser.parse_args()
    try:
        async with tailrace.connect(asked.room, token=os.environ.get("TAILRACE_TOKEN")) as room:
            await hold(room, asked)
    except TailraceError as error:
        sys.exit(f"hold_slo.py: {error}")


if __name__ == "__main__":
    asyncio.run(main())
