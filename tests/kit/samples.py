"""An interval, a service and a search, to be varied with msgspec.structs.replace; measurements."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tailrace.control.interface import ServiceInfo
from tailrace.load.measure.breakdown import Breakdown, Xray
from tailrace.load.measure.histogram import Histogram
from tailrace.load.measure.measurement import Measurement
from tailrace.load.measure.point import Percentiles, Point
from tailrace.load.session.found import Found, Step

POINT = Point(
    index=0,
    t_s=1.0,
    wall_time=1000.0,
    interval_s=1.0,
    target_per_s=50.0,
    offered=50,
    sent=50,
    completed=50,
    failed={},
    rps=50.0,
    qps=50.0,
    in_flight=0,
    backlog=0,
    connections=1,
    cap_waits=0,
    tick_lag_ms=0.0,
    latency_ms=Percentiles(p50=4.0, p99=9.0, p99_9=12.0),
    service_ms=Percentiles(),
    send_lag_us=Percentiles(p99=80.0),
    stages_ms={},
    cpu_percent=3.0,
)
SERVICE = ServiceInfo(
    id="s1",
    name="Service 1",
    url="http://127.0.0.1:5000/gpu",
    method="GET",
    arrivals="poisson",
    profile="50",
    state="running",
    rate_per_s=50.0,
    slo=(),
    run=None,
)
FOUND = Found(
    target="http://h/",
    slo="p99<100ms",
    rate_per_s=420.0,
    confirmed=True,
    reason="420 requests a second hold",
    steps=tuple(
        Step(
            rate_per_s=rate,
            decision="holds" if over == 0 else "breaks",
            reason="",
            duration_s=10.0,
            offered=1000,
            completed=1000 - over,
            failed=0,
            over=over,
            percentile_ms=rate / 5,
            send_lag_p99_us=80.0,
        )
        for rate, over in ((400.0, 0), (800.0, 90), (420.0, 0))
    ),
)


def measured(latencies_ms: Iterable[float] = (), failed: int = 0, **more: Any) -> Measurement:
    """Answers that took so long, and failures; `more` is what else there is of a Measurement."""
    latencies_ns = np.array([ms * 1e6 for ms in latencies_ms], dtype=np.int64)
    series = {"latency": Histogram.of(latencies_ns), **more.pop("series", {})}
    reasons = {"timeout: no answer": failed} if failed else {}
    return Measurement(
        **{"completed": len(latencies_ns), "reasons": reasons, "series": series, **more}
    )


def xray_of(points: Iterable[Point]) -> Xray | None:
    """The X-ray of several intervals taken together, by what their figures say of them."""
    parts = []
    for point in points:
        bins = sorted(point.latency_bins)
        sums_ns = [np.multiply(sums, 1000) for sums in point.components_us.values()]
        counts = [point.latency_bins[number] for number in bins]
        table = np.array([counts, *sums_ns], dtype=np.int64)
        parts.append(Breakdown(tuple(point.components_us), np.array(bins, dtype=np.int64), table))
    return Breakdown.merged(parts).xray()
