from itertools import chain

import numpy as np
import pytest
import scipy
from numpy.typing import NDArray

from tailrace.load.client.traffic import CHUNK, Share, Turns


def drawn_turns(
    turns: Turns, count: int, seed: int = 1, worker: int = 0, workers: int = 1, skipped: int = 0
) -> NDArray[np.intp]:
    """The first `count` turns of a worker, those that it skipped left out."""
    share = Share(turns, range(sum(turns.counts)), seed, worker, workers)
    share.skip(skipped)
    taken: list[int] = []
    while len(taken) < count:
        taken += share.next_piece()
    return np.array(taken[:count])


ALL = [
    Turns((1,), (1.0,)),
    Turns((3,), (1.0,)),
    Turns((3000,), (2.0,)),
    Turns((7,), (1.0,), "random"),
    Turns((2, 3), (1.0, 3.0)),
    Turns((2, 3000, 1), (1.0, 3.0, 0.5), "random"),
]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 1000, 5000])
def test_one_target_in_order(count: int) -> None:
    assert np.array_equal(drawn_turns(Turns((count,), (1.0,)), 9000), np.arange(9000) % count)


def test_draws_are_even_seeded_and_never_begin_anew() -> None:
    turns = Turns((20_000,), (1.0,), "random")
    sequence = drawn_turns(turns, 200_000)
    assert np.array_equal(sequence, drawn_turns(turns, 200_000))
    assert not np.array_equal(sequence, drawn_turns(turns, 200_000, seed=2))
    # Each is left out with a chance of e⁻¹⁰: 0.9 of 20,000.
    assert len(np.unique(sequence)) > 20_000 - 12
    assert scipy.stats.chisquare(np.bincount(sequence, minlength=20_000)).pvalue > 0.001
    # What comes next does not follow from what came: as many equal pairs as chance gives, at any
    # distance at which a sequence might repeat.
    for distance in (1, 1024, 4096, 8192, 65_536):
        equal = (sequence[distance:] == sequence[:-distance]).sum()
        assert equal <= scipy.stats.poisson.isf(1e-6, len(sequence) / 20_000)


def test_every_body_of_every_target_comes_in_its_order() -> None:
    counts = (20_000, 3, 9_001)
    sequence = drawn_turns(Turns(counts, (1.0, 1.0, 2.0)), 200_000)
    first = 0
    for count in counts:
        own = sequence[(sequence >= first) & (sequence < first + count)] - first
        assert len(own) > count
        assert np.array_equal(own, np.arange(len(own)) % count)
        first += count


@pytest.mark.parametrize("order", ["sequential", "random"])
@pytest.mark.parametrize("weights", [(10_000.0, 1.0), (1.0, 10_000.0), (1.0, 2.0, 7.0), (0.1, 0.2)])
def test_weights_hold(order: str, weights: tuple[float, ...]) -> None:
    turns = Turns((1,) * len(weights), weights, order)  # type: ignore[arg-type]
    counts = np.bincount(drawn_turns(turns, 1_000_000), minlength=len(weights))
    expected = 1_000_000 * np.array(weights) / sum(weights)
    assert scipy.stats.chisquare(counts, expected).pvalue > 0.001


@pytest.mark.parametrize("turns", ALL)
@pytest.mark.parametrize("workers", [2, 3, 64])
def test_workers_share_one_sequence(turns: Turns, workers: int) -> None:
    whole = drawn_turns(turns, 4000 * workers if workers < 64 else 64 * 200)
    for worker in range(workers):
        mine = drawn_turns(turns, len(whole) // workers, worker=worker, workers=workers)
        assert np.array_equal(mine, whole[worker::workers][: len(mine)])


@pytest.mark.parametrize("turns", ALL)
@pytest.mark.parametrize("skipped", [0, 1, CHUNK // 3, CHUNK, 10_007])
def test_what_is_skipped_is_passed_over(turns: Turns, skipped: int) -> None:
    whole = drawn_turns(turns, 15_000, worker=1, workers=3)
    rest = drawn_turns(turns, 3000, worker=1, workers=3, skipped=skipped)
    assert np.array_equal(rest, whole[skipped : skipped + 3000])


def test_skips_add_up() -> None:
    for turns in ALL:
        share = Share(turns, range(sum(turns.counts)), 1)
        for count in (5, 0, CHUNK, 700):
            share.skip(count)
        assert share.next_piece()[0] == drawn_turns(turns, 1, skipped=705 + CHUNK)[0]


def test_many_targets() -> None:
    turns = Turns(tuple(range(1, 301)), tuple(chain(range(1, 301))), "sequential")
    assert len(np.unique(drawn_turns(turns, 400_000))) == sum(turns.counts)
