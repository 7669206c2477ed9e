"""What a search has seen besides the rate: each one plain line."""

from collections import Counter
from collections.abc import Container, Iterator, Sequence

import numpy as np

from tailrace.load.search.block import Block
from tailrace.load.search.estimate import Estimate
from tailrace.load.search.service import Character
from tailrace.units import format_duration, format_figure

_SLOWER = 0.85
"""Of what it answered before, and a service that is asked for too much answers surely less."""
_FEW = 5
"""Failures from which a share of them is told."""
_SWING = 0.03
"""From which it is worth a word that a service's speed comes and goes."""
_RISE, _FAILED = 4.0, 10
"""So many times as large a share of failures at higher rates, of so many failures at least, and it
is the rate that makes them."""


def describe_failures(blocks: Sequence[Block]) -> Iterator[str]:
    """How many requests failed, why, and whether that comes with the rate."""
    kinds: Counter[str] = Counter()
    for block in blocks:
        kinds.update(block.failed)
    failed = sum(kinds.values())
    if not failed:
        return
    offered = sum(block.offered for block in blocks)
    names = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(3))
    limit = find_limit(blocks)
    if limit is not None:
        yield (
            f"a cliff: from about {format_figure(limit)}/s on requests fail ({names}), "
            "below it hardly any: a limit, not slowness"
        )
    else:
        yield f"{format_figure(100 * failed / offered)} % of requests failed: {names}"


def find_limit(blocks: Sequence[Block]) -> float | None:
    """The rate from which on requests fail that do not below it; None where none does so."""
    order = sorted(blocks, key=lambda block: block.rate_per_s)
    failed = np.array([sum(block.failed.values()) for block in order], dtype=np.float64)
    offered = np.array([max(block.offered, 1) for block in order], dtype=np.float64)
    best, limit = 0.0, None
    for k in range(1, len(order)):
        below, above = failed[:k].sum(), failed[k:].sum()
        # Of n requests none of which failed up to 3 / n may (the rule of three).
        low = (below + 3) / offered[:k].sum()
        high = above / offered[k:].sum()
        gain = above * np.log(high / low) if high > _RISE * low else 0.0
        if above >= _FAILED and gain > best:
            best, limit = gain, order[k].rate_per_s
    return limit


def failing_share(blocks: Sequence[Block]) -> tuple[float, float]:
    """The share of requests that fail at any rate, other than for being slow, and what it is at
    most; 0 where failures come with the rate, or are too few to tell."""
    failed = sum(int(np.isinf(block.latency_s).sum()) - block.slow for block in blocks)
    seen = sum(int((~np.isnan(block.latency_s)).sum()) for block in blocks)
    if failed < _FEW or find_limit(blocks) is not None:
        return 0.0, 0.0
    return failed / seen, (failed + 2 * float(np.sqrt(failed))) / seen


def describe_collapse(blocks: Sequence[Block], too_high: Container[float]) -> Iterator[str]:
    """Whether a service that is asked for too much answers less than it could. `too_high`: when
    blocks began whose requests came faster than their answers."""
    sustained = max(
        (_answered_per_s(block) for block in blocks if block.begin_s not in too_high), default=0.0
    )
    for block in blocks:
        if block.begin_s in too_high:
            span_s = block.end_s - block.begin_s
            answered = _answered_per_s(block)
            chance = 3 * np.sqrt(max(answered * span_s, 1)) / span_s
            if answered + chance < _SLOWER * sustained:
                yield (
                    f"a cliff: asked for {format_figure(block.rate_per_s)}/s it answers only "
                    f"{format_figure(answered)}/s, and {format_figure(sustained)}/s when it is "
                    "asked for less: keep well below"
                )
                return


def _answered_per_s(block: Block) -> float:
    done = block.intended_s + block.latency_s
    return float(np.sum(done <= block.end_s)) / (block.end_s - block.begin_s)


def describe_character(character: Character, span_s: float) -> Iterator[str]:
    """Stalls, and a speed that changes while it is measured."""
    queue = character.queue
    stalls = queue.stalls_s if queue is not None else ()
    if len(stalls):
        times = "once" if len(stalls) == 1 else f"{len(stalls)} times"
        yield (
            f"stalls: {times} in {format_duration(round(span_s))} nothing was answered, for "
            f"{format_figure(float(np.mean(stalls)))} s; how often they come is not to be told "
            "from so few"
        )
    if queue is not None and queue.dependent and queue.swing > _SWING:
        yield (
            f"contention: for seconds at a time its work takes {100 * queue.swing:.0f} % "
            "longer or less; slower times than were seen would lower the answer"
        )
    if character.change > 0:
        yield (
            f"drifting: its work takes {100 * character.change:.0f} % longer in the second half "
            "than in the first, and the answer is for the second"
        )
    elif character.change < 0:
        yield (
            f"it became faster: its work takes {-100 * character.change:.0f} % less in the second "
            "half than in the first (a warm-up, a cache, or scaling that reacts late), and the "
            "answer is for the second"
        )


def describe_estimates(deciding: Estimate) -> Iterator[str]:
    """Whether the two estimates agree."""
    if deciding.queue is None:
        yield (
            "the service does not work like a queue that takes requests in order: the answer "
            "rests on the requests over the bound alone"
        )
    elif deciding.disagrees:
        by_queue, free = float(np.exp(deciding.queue[0])), float(np.exp(deciding.free.mean))
        yield (
            f"two estimates differ by more than chance: {format_figure(by_queue)}/s as a queue, "
            f"{format_figure(free)}/s by the requests over the bound alone: the answer moves "
            "towards the second, and its interval is wider"
        )


def describe_time(spent_s: float, for_s: float) -> Iterator[str]:
    """Why a search took longer than it was given."""
    if spent_s > 1.05 * for_s:
        yield (
            f"slow: {format_duration(round(spent_s))} instead of {format_duration(for_s)}, as at "
            "this rate too few requests over the bound are to be seen in less"
        )
