"""Plans of runs, made as a user would say them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tailrace.load.client.request import Body
from tailrace.load.client.traffic import plan_traffic
from tailrace.load.config import LoadConfig
from tailrace.load.session.plan import Plan, read_plan


def make_plan(
    url: str | Sequence[str], profile: str = "100", bodies: Sequence[Body] = (), **settings: Any
) -> Plan:
    """A run of a second, unless told otherwise, with these bodies if there are any."""
    brief = {"duration_s": 1.0, "timeout_s": 5.0, "interval_s": 0.5}
    config = LoadConfig.of(url, profile=profile, **(brief | settings))
    plan = read_plan(config)
    if not bodies:
        return plan
    traffic = plan_traffic(config.urls, bodies=bodies, order=config.order)
    return replace(plan, traffic=traffic)
