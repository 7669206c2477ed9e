"""Past one machine, with Ray: load workers and replicas of the service on the nodes of a cluster.

The only package that imports Ray, which is an extra; everything else works without it.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.load.crew import Crew


def crew_at(address: str | None) -> "Crew | None":
    """Load workers on the Ray cluster at `address`; None, the processes of this machine, for None.

    Raises:
        UsageError: Ray is not installed.
    """
    if address is None:
        return None
    from tailrace.fleet.cluster import require_ray

    require_ray()
    from tailrace.fleet.crew import RayCrew

    return RayCrew(address)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Leaves the cluster at the end, if there is one, and keeps what Ray has to say off stdout
    until then: on a node's death it prints the last lines of its log.
    """
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        try:
            yield
        finally:
            if "ray" in sys.modules:
                sys.modules["ray"].shutdown()
