"""A pool of the load generator's connections by itself, to real servers."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic_ns

from tailrace.load.client.dialer import Dialer
from tailrace.load.client.pool import Pool, PoolLimits
from tailrace.load.client.target import Endpoint
from tailrace.load.measure.recorder import Recorder
from tests.kit.waiting import TIMEOUT_S


def name_of(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    """A look-up of a name that has these addresses."""

    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


def make_pool(
    port: int,
    *addresses: str,
    reuse: str = "spread",
    connections: int = 64,
    timeout_s: float = 5.0,
    connect_timeout_s: float = 5.0,
) -> Pool:
    """To a name that has these addresses, by default 127.0.0.1."""
    endpoint = Endpoint(host="h", port=port)
    limits = PoolLimits(connections, timeout_s, connect_timeout_s, timeout_s)
    dialer = Dialer(endpoint, name_of(*(addresses or ("127.0.0.1",))))
    return Pool(dialer, Recorder(), limits, reuse=reuse)


async def settled(pool: Pool) -> None:
    """Return when each request has come to an end."""
    async with asyncio.timeout(TIMEOUT_S):
        while pool.waiting or pool.in_flight:
            await asyncio.sleep(0.01)
            pool.expire(monotonic_ns())
