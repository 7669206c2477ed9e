"""An interval and a service, to be varied with msgspec.structs.replace."""

from tailrace.control.interface import ServiceInfo
from tailrace.load.point import Percentiles, Point

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
