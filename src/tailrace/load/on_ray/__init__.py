"""A session's workers on the nodes of a Ray cluster. Ray is an extra: nothing but this package,
the service's `on_ray` and `tailrace.cluster` imports it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tailrace.load.session.workers import Launcher


def launcher_at(address: str | None) -> "Launcher | None":
    """What starts load workers on the Ray cluster at `address`; None, for the processes of this
    machine, where there is none.

    Raises:
        UsageError: Ray is not installed.
    """
    if address is None:
        return None
    from tailrace.cluster import require_ray

    require_ray()
    from tailrace.load.on_ray.launcher import RayLauncher

    return RayLauncher(address)
