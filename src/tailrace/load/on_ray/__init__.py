"""A session's workers on the nodes of a Ray cluster. Ray is an extra: nothing but this package,
the service's `on_ray` and `tailrace.cluster` imports it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.load.session.crew import Crew


def crew_at(address: str | None) -> "Crew | None":
    """Load workers on the Ray cluster at `address`; None, the processes of this machine, for None.

    Raises:
        UsageError: Ray is not installed.
    """
    if address is None:
        return None
    from tailrace.cluster import require_ray

    require_ray()
    from tailrace.load.on_ray.crew import RayCrew

    return RayCrew(address)
