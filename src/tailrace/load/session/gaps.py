"""The gaps between a plan's arrivals, for a search that serves requests under fresh ones."""

import numpy as np

from tailrace.load.schedule.arrivals import Arrivals, Poisson
from tailrace.load.schedule.segments import Floats
from tailrace.load.search.virtual import Gaps, exponential_gaps


def gaps_of(arrivals: Arrivals) -> Gaps:
    """What draws unit gaps of `arrivals`, float64 [replicas, n]; those of a recording begin anew
    where it ends, and each replica somewhere else in it.
    """
    if isinstance(arrivals, Poisson):
        return exponential_gaps

    def draw(replicas: int, count: int) -> Floats:
        places = np.random.default_rng(1).random(replicas)
        rows = []
        for seed, place in enumerate(places.tolist()):
            gaps = _first_gaps(arrivals, seed, count)
            rows.append(np.resize(np.roll(gaps, int(place * len(gaps))), count))
        return np.array(rows)

    return draw


def _first_gaps(arrivals: Arrivals, seed: int, count: int) -> Floats:
    """Some `count` gaps; of a recording as many as it has."""
    parts: list[Floats] = []
    known = 0
    for chunk in arrivals.chunks(seed):
        come = chunk[np.isfinite(chunk)]
        parts.append(come)
        known += len(come)
        if known > count or len(come) < len(chunk):
            break
    gaps = np.diff(np.concatenate(parts))
    return gaps if len(gaps) else np.ones(1)
