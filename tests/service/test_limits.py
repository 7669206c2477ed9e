"""More requests at once than may wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx


async def test_flood_gets_answers_or_503_and_nothing_else(
    launch: Callable[..., Any], draw: Callable[..., bytes]
) -> None:
    url = launch("shapes", "--port", "0", "--queue", "1", "--concurrency", "1").start().url
    big = draw(1_000_002, size_px=(4000, 3000))
    async with httpx.AsyncClient(timeout=60) as client:
        posts = [client.post(f"{url}/predict/shapes", content=big) for _ in range(24)]
        answers = await asyncio.gather(*posts)
        counts = Counter(answer.status_code for answer in answers)
        assert set(counts) == {200, 503}
        assert counts[200] >= 2
        for answer in answers:
            if answer.status_code == 503:
                assert answer.headers["Retry-After"] == "1"
        again = await client.post(f"{url}/predict/shapes", content=big)
        assert again.status_code == 200
