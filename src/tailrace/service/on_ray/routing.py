"""Which replica a request goes to."""

import random

from ray.serve.request_router import (
    FIFOMixin,
    PendingRequest,
    RequestRouter,
    RunningReplica,
)


class TwoChoices(FIFOMixin, RequestRouter):
    """Offers a request to two replicas drawn at random; Ray Serve sends it to the one with fewer
    requests at hand.

    Ray Serve's own router draws them from the proxy's node first. With a queue as long as ours, the
    replicas of other nodes would idle until those of that node are full.

    Source: Mitzenmacher, The power of two choices in randomized load balancing, 2001.
    """

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """The two, or the only one; see RequestRouter."""
        if not candidate_replicas:
            return []
        return [random.sample(candidate_replicas, min(2, len(candidate_replicas)))]
