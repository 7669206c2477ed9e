"""Waiting for something to be so, in place of a sleep that hopes: at most `TIMEOUT_S`, which a test
that passes never takes.
"""

import asyncio
import os
import select
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT_S = 120.0
"""Long enough for whatever is to come, on a busy machine."""


async def until(condition: Callable[[], T], timeout_s: float = TIMEOUT_S) -> T:
    """What `condition` returns once that is true, asked at each turn of the loop, or nearly."""
    async with asyncio.timeout(timeout_s):
        while not (value := condition()):
            await asyncio.sleep(0.001)
    return value


def wait_until(condition: Callable[[], T], timeout_s: float = TIMEOUT_S) -> T:
    """The same without a loop, for what other threads and processes do."""
    ends_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < ends_s, "it never came to be"
        time.sleep(0.01)
    return value


def await_exit(pid: int) -> None:
    """Return once there is no process `pid`, which need be no child of this one."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(descriptor) as file:
        assert select.select([file], [], [], TIMEOUT_S)[0], f"process {pid} lives on"
