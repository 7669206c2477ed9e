"""Plays searches against simulated services, in simulated time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tailrace.load.judge.slo import parse_slo
from tailrace.load.search.answer import Answer, FindLimits
from tailrace.load.search.block import Block
from tailrace.load.search.search import Search
from tests.kit.services import Floats, Service


@dataclass(frozen=True, slots=True)
class Played:
    """What a search answered, and the blocks it asked for."""

    answer: Answer
    blocks: list[Block]


def play(
    service: Service,
    slos: Sequence[str],
    seed: int,
    limits: FindLimits | None = None,
    late_above: float = np.inf,
) -> Played:
    """A whole search under Poisson arrivals; the generator is late above a rate."""
    rng = np.random.default_rng([seed, 77])
    search = Search([parse_slo(slo) for slo in slos], limits or FindLimits())
    sent: list[Floats] = []
    blocks: list[Block] = []
    now = 0.0
    while (ask := search.ask()) is not None:
        end = now + ask.for_s
        intended = now + np.sort(rng.random(rng.poisson(ask.rate_per_s * ask.for_s))) * ask.for_s
        sent.append(intended)
        latency = service.latencies_s(np.concatenate(sent))
        bounds = np.cumsum([0, *(len(part) for part in sent)])
        blocks.append(
            _block(ask.rate_per_s, now, end, intended, latency, ask.rate_per_s > late_above)
        )
        for k, block in enumerate(blocks):
            if k == len(blocks) - 1 or np.isnan(block.latency_s).any():
                part = latency[bounds[k] : bounds[k + 1]].copy()
                part[np.isfinite(part) & (block.intended_s + part > end)] = np.nan
                blocks[k] = told = _block(
                    block.rate_per_s, block.begin_s, block.end_s, block.intended_s, part, block.late
                )
                search.tell(told)
        now = end
    return Played(search.answer(), blocks)


def _block(
    rate: float, begin: float, end: float, intended: Floats, latency: Floats, late: bool
) -> Block:
    failed = int(np.isinf(latency).sum())
    return Block(
        rate,
        begin,
        end,
        intended,
        latency,
        len(intended),
        late,
        failed={"http: 500": failed} if failed else {},
    )
