from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    STATE_IDLE: _ClassVar[State]
    STATE_STARTING: _ClassVar[State]
    STATE_RUNNING: _ClassVar[State]
    STATE_STOPPING: _ClassVar[State]
    STATE_REMOVED: _ClassVar[State]

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_RATE: _ClassVar[EventKind]
    EVENT_KIND_PROFILE: _ClassVar[EventKind]
    EVENT_KIND_STOP: _ClassVar[EventKind]
    EVENT_KIND_WORKER: _ClassVar[EventKind]

class RunState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_STATE_UNSPECIFIED: _ClassVar[RunState]
    RUN_STATE_RUNNING: _ClassVar[RunState]
    RUN_STATE_FINISHED: _ClassVar[RunState]
    RUN_STATE_INTERRUPTED: _ClassVar[RunState]
    RUN_STATE_BROKEN: _ClassVar[RunState]
STATE_UNSPECIFIED: State
STATE_IDLE: State
STATE_STARTING: State
STATE_RUNNING: State
STATE_STOPPING: State
STATE_REMOVED: State
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_RATE: EventKind
EVENT_KIND_PROFILE: EventKind
EVENT_KIND_STOP: EventKind
EVENT_KIND_WORKER: EventKind
RUN_STATE_UNSPECIFIED: RunState
RUN_STATE_RUNNING: RunState
RUN_STATE_FINISHED: RunState
RUN_STATE_INTERRUPTED: RunState
RUN_STATE_BROKEN: RunState

class ServiceRequest(_message.Message):
    __slots__ = ("service_id",)
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    def __init__(self, service_id: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("services",)
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[ServiceInfo]
    def __init__(self, services: _Optional[_Iterable[_Union[ServiceInfo, _Mapping]]] = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ("service_id", "rate_per_s")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    rate_per_s: float
    def __init__(self, service_id: _Optional[str] = ..., rate_per_s: _Optional[float] = ...) -> None: ...

class SetRateRequest(_message.Message):
    __slots__ = ("service_id", "rate_per_s")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    rate_per_s: float
    def __init__(self, service_id: _Optional[str] = ..., rate_per_s: _Optional[float] = ...) -> None: ...

class SetProfileRequest(_message.Message):
    __slots__ = ("service_id", "profile")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    profile: str
    def __init__(self, service_id: _Optional[str] = ..., profile: _Optional[str] = ...) -> None: ...

class LatestResponse(_message.Message):
    __slots__ = ("point",)
    POINT_FIELD_NUMBER: _ClassVar[int]
    point: Point
    def __init__(self, point: _Optional[_Union[Point, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("service_id",)
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    def __init__(self, service_id: _Optional[str] = ...) -> None: ...

class ListRunsResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[RunInfo]
    def __init__(self, runs: _Optional[_Iterable[_Union[RunInfo, _Mapping]]] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListSearchesResponse(_message.Message):
    __slots__ = ("searches",)
    SEARCHES_FIELD_NUMBER: _ClassVar[int]
    searches: _containers.RepeatedCompositeFieldContainer[SearchInfo]
    def __init__(self, searches: _Optional[_Iterable[_Union[SearchInfo, _Mapping]]] = ...) -> None: ...

class LabelRunRequest(_message.Message):
    __slots__ = ("name", "title", "note")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    note: str
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class DeleteRunRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ServiceConfig(_message.Message):
    __slots__ = ("id", "url", "name", "method", "headers", "body", "text", "arrivals", "profile", "duration_s", "slo", "seed", "workers", "connections", "timeout_s", "min_duration_s", "verify", "ca_file", "metrics_url", "ray", "abort_on", "reuse")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ARRIVALS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    SLO_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    MIN_DURATION_S_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    CA_FILE_FIELD_NUMBER: _ClassVar[int]
    METRICS_URL_FIELD_NUMBER: _ClassVar[int]
    RAY_FIELD_NUMBER: _ClassVar[int]
    ABORT_ON_FIELD_NUMBER: _ClassVar[int]
    REUSE_FIELD_NUMBER: _ClassVar[int]
    id: str
    url: str
    name: str
    method: str
    headers: _containers.ScalarMap[str, str]
    body: str
    text: str
    arrivals: str
    profile: str
    duration_s: float
    slo: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    workers: int
    connections: int
    timeout_s: float
    min_duration_s: float
    verify: bool
    ca_file: str
    metrics_url: str
    ray: str
    abort_on: _containers.RepeatedScalarFieldContainer[str]
    reuse: str
    def __init__(self, id: _Optional[str] = ..., url: _Optional[str] = ..., name: _Optional[str] = ..., method: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., body: _Optional[str] = ..., text: _Optional[str] = ..., arrivals: _Optional[str] = ..., profile: _Optional[str] = ..., duration_s: _Optional[float] = ..., slo: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ..., workers: _Optional[int] = ..., connections: _Optional[int] = ..., timeout_s: _Optional[float] = ..., min_duration_s: _Optional[float] = ..., verify: _Optional[bool] = ..., ca_file: _Optional[str] = ..., metrics_url: _Optional[str] = ..., ray: _Optional[str] = ..., abort_on: _Optional[_Iterable[str]] = ..., reuse: _Optional[str] = ...) -> None: ...

class ServiceInfo(_message.Message):
    __slots__ = ("id", "name", "url", "method", "arrivals", "profile", "state", "rate_per_s", "slo", "run", "problems", "verdict", "missing")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ARRIVALS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    SLO_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    url: str
    method: str
    arrivals: str
    profile: str
    state: State
    rate_per_s: float
    slo: _containers.RepeatedScalarFieldContainer[str]
    run: str
    problems: _containers.RepeatedScalarFieldContainer[str]
    verdict: Verdict
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., url: _Optional[str] = ..., method: _Optional[str] = ..., arrivals: _Optional[str] = ..., profile: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., rate_per_s: _Optional[float] = ..., slo: _Optional[_Iterable[str]] = ..., run: _Optional[str] = ..., problems: _Optional[_Iterable[str]] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("valid", "reasons")
    VALID_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, valid: _Optional[bool] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class Update(_message.Message):
    __slots__ = ("service", "point")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    POINT_FIELD_NUMBER: _ClassVar[int]
    service: ServiceInfo
    point: Point
    def __init__(self, service: _Optional[_Union[ServiceInfo, _Mapping]] = ..., point: _Optional[_Union[Point, _Mapping]] = ...) -> None: ...

class Percentiles(_message.Message):
    __slots__ = ("mean", "p50", "p90", "p95", "p99", "p99_9", "max")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    P50_FIELD_NUMBER: _ClassVar[int]
    P90_FIELD_NUMBER: _ClassVar[int]
    P95_FIELD_NUMBER: _ClassVar[int]
    P99_FIELD_NUMBER: _ClassVar[int]
    P99_9_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    p99_9: float
    max: float
    def __init__(self, mean: _Optional[float] = ..., p50: _Optional[float] = ..., p90: _Optional[float] = ..., p95: _Optional[float] = ..., p99: _Optional[float] = ..., p99_9: _Optional[float] = ..., max: _Optional[float] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("index", "t_s", "wall_time", "interval_s", "target_per_s", "offered", "sent", "completed", "failed", "rps", "qps", "in_flight", "backlog", "connections", "cap_waits", "tick_lag_ms", "latency_ms", "service_ms", "send_lag_us", "stages_ms", "cpu_percent", "events", "latency_bins", "slowest", "server", "components_us", "nodes", "reasons", "examples")
    class FailedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class StagesMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Percentiles
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Percentiles, _Mapping]] = ...) -> None: ...
    class LatencyBinsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    class ServerEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ComponentsUsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Sums
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Sums, _Mapping]] = ...) -> None: ...
    class NodesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: NodeFigures
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[NodeFigures, _Mapping]] = ...) -> None: ...
    class ReasonsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ExamplesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INDEX_FIELD_NUMBER: _ClassVar[int]
    T_S_FIELD_NUMBER: _ClassVar[int]
    WALL_TIME_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    TARGET_PER_S_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    RPS_FIELD_NUMBER: _ClassVar[int]
    QPS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    BACKLOG_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    CAP_WAITS_FIELD_NUMBER: _ClassVar[int]
    TICK_LAG_MS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_MS_FIELD_NUMBER: _ClassVar[int]
    SEND_LAG_US_FIELD_NUMBER: _ClassVar[int]
    STAGES_MS_FIELD_NUMBER: _ClassVar[int]
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_BINS_FIELD_NUMBER: _ClassVar[int]
    SLOWEST_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_US_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    index: int
    t_s: float
    wall_time: float
    interval_s: float
    target_per_s: float
    offered: int
    sent: int
    completed: int
    failed: _containers.ScalarMap[str, int]
    rps: float
    qps: float
    in_flight: int
    backlog: int
    connections: int
    cap_waits: int
    tick_lag_ms: float
    latency_ms: Percentiles
    service_ms: Percentiles
    send_lag_us: Percentiles
    stages_ms: _containers.MessageMap[str, Percentiles]
    cpu_percent: float
    events: _containers.RepeatedCompositeFieldContainer[Event]
    latency_bins: _containers.ScalarMap[int, int]
    slowest: _containers.RepeatedCompositeFieldContainer[SlowRequest]
    server: _containers.ScalarMap[str, float]
    components_us: _containers.MessageMap[str, Sums]
    nodes: _containers.MessageMap[str, NodeFigures]
    reasons: _containers.ScalarMap[str, int]
    examples: _containers.ScalarMap[str, str]
    def __init__(self, index: _Optional[int] = ..., t_s: _Optional[float] = ..., wall_time: _Optional[float] = ..., interval_s: _Optional[float] = ..., target_per_s: _Optional[float] = ..., offered: _Optional[int] = ..., sent: _Optional[int] = ..., completed: _Optional[int] = ..., failed: _Optional[_Mapping[str, int]] = ..., rps: _Optional[float] = ..., qps: _Optional[float] = ..., in_flight: _Optional[int] = ..., backlog: _Optional[int] = ..., connections: _Optional[int] = ..., cap_waits: _Optional[int] = ..., tick_lag_ms: _Optional[float] = ..., latency_ms: _Optional[_Union[Percentiles, _Mapping]] = ..., service_ms: _Optional[_Union[Percentiles, _Mapping]] = ..., send_lag_us: _Optional[_Union[Percentiles, _Mapping]] = ..., stages_ms: _Optional[_Mapping[str, Percentiles]] = ..., cpu_percent: _Optional[float] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ..., latency_bins: _Optional[_Mapping[int, int]] = ..., slowest: _Optional[_Iterable[_Union[SlowRequest, _Mapping]]] = ..., server: _Optional[_Mapping[str, float]] = ..., components_us: _Optional[_Mapping[str, Sums]] = ..., nodes: _Optional[_Mapping[str, NodeFigures]] = ..., reasons: _Optional[_Mapping[str, int]] = ..., examples: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Sums(_message.Message):
    __slots__ = ("us",)
    US_FIELD_NUMBER: _ClassVar[int]
    us: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, us: _Optional[_Iterable[int]] = ...) -> None: ...

class Xray(_message.Message):
    __slots__ = ("tail_requests", "median_requests", "from_ms", "tail_ms", "median_ms", "gap_ms", "explains")
    class TailMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class MedianMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class GapMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TAIL_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    FROM_MS_FIELD_NUMBER: _ClassVar[int]
    TAIL_MS_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_MS_FIELD_NUMBER: _ClassVar[int]
    GAP_MS_FIELD_NUMBER: _ClassVar[int]
    EXPLAINS_FIELD_NUMBER: _ClassVar[int]
    tail_requests: int
    median_requests: int
    from_ms: float
    tail_ms: _containers.ScalarMap[str, float]
    median_ms: _containers.ScalarMap[str, float]
    gap_ms: _containers.ScalarMap[str, float]
    explains: str
    def __init__(self, tail_requests: _Optional[int] = ..., median_requests: _Optional[int] = ..., from_ms: _Optional[float] = ..., tail_ms: _Optional[_Mapping[str, float]] = ..., median_ms: _Optional[_Mapping[str, float]] = ..., gap_ms: _Optional[_Mapping[str, float]] = ..., explains: _Optional[str] = ...) -> None: ...

class NodeFigures(_message.Message):
    __slots__ = ("workers", "rps", "send_lag_p99_us", "cpu_percent", "seen_s", "clock_error_ms", "clock_drift_ms")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    RPS_FIELD_NUMBER: _ClassVar[int]
    SEND_LAG_P99_US_FIELD_NUMBER: _ClassVar[int]
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    SEEN_S_FIELD_NUMBER: _ClassVar[int]
    CLOCK_ERROR_MS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_DRIFT_MS_FIELD_NUMBER: _ClassVar[int]
    workers: int
    rps: float
    send_lag_p99_us: float
    cpu_percent: float
    seen_s: float
    clock_error_ms: float
    clock_drift_ms: float
    def __init__(self, workers: _Optional[int] = ..., rps: _Optional[float] = ..., send_lag_p99_us: _Optional[float] = ..., cpu_percent: _Optional[float] = ..., seen_s: _Optional[float] = ..., clock_error_ms: _Optional[float] = ..., clock_drift_ms: _Optional[float] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("t_s", "wall_time", "kind", "text", "rate_per_s")
    T_S_FIELD_NUMBER: _ClassVar[int]
    WALL_TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    t_s: float
    wall_time: float
    kind: EventKind
    text: str
    rate_per_s: float
    def __init__(self, t_s: _Optional[float] = ..., wall_time: _Optional[float] = ..., kind: _Optional[_Union[EventKind, str]] = ..., text: _Optional[str] = ..., rate_per_s: _Optional[float] = ...) -> None: ...

class SlowRequest(_message.Message):
    __slots__ = ("t_s", "latency_ms", "service_ms", "send_lag_ms", "stages_ms", "connection_ms")
    class StagesMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    T_S_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_MS_FIELD_NUMBER: _ClassVar[int]
    SEND_LAG_MS_FIELD_NUMBER: _ClassVar[int]
    STAGES_MS_FIELD_NUMBER: _ClassVar[int]
    CONNECTION_MS_FIELD_NUMBER: _ClassVar[int]
    t_s: float
    latency_ms: float
    service_ms: float
    send_lag_ms: float
    stages_ms: _containers.ScalarMap[str, float]
    connection_ms: float
    def __init__(self, t_s: _Optional[float] = ..., latency_ms: _Optional[float] = ..., service_ms: _Optional[float] = ..., send_lag_ms: _Optional[float] = ..., stages_ms: _Optional[_Mapping[str, float]] = ..., connection_ms: _Optional[float] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("intervals", "seconds", "latency_ms", "service_ms", "send_lag_us", "stages_ms", "avg_rps", "avg_qps", "sr_percent", "avg_99th_ms", "cpu_percent", "completed", "failed", "points", "xray", "reasons")
    class StagesMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Percentiles
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Percentiles, _Mapping]] = ...) -> None: ...
    class FailedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ReasonsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    INTERVALS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_MS_FIELD_NUMBER: _ClassVar[int]
    SEND_LAG_US_FIELD_NUMBER: _ClassVar[int]
    STAGES_MS_FIELD_NUMBER: _ClassVar[int]
    AVG_RPS_FIELD_NUMBER: _ClassVar[int]
    AVG_QPS_FIELD_NUMBER: _ClassVar[int]
    SR_PERCENT_FIELD_NUMBER: _ClassVar[int]
    AVG_99TH_MS_FIELD_NUMBER: _ClassVar[int]
    CPU_PERCENT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    XRAY_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    intervals: int
    seconds: float
    latency_ms: Percentiles
    service_ms: Percentiles
    send_lag_us: Percentiles
    stages_ms: _containers.MessageMap[str, Percentiles]
    avg_rps: float
    avg_qps: float
    sr_percent: float
    avg_99th_ms: float
    cpu_percent: float
    completed: int
    failed: _containers.ScalarMap[str, int]
    points: _containers.RepeatedCompositeFieldContainer[Point]
    xray: Xray
    reasons: _containers.ScalarMap[str, int]
    def __init__(self, intervals: _Optional[int] = ..., seconds: _Optional[float] = ..., latency_ms: _Optional[_Union[Percentiles, _Mapping]] = ..., service_ms: _Optional[_Union[Percentiles, _Mapping]] = ..., send_lag_us: _Optional[_Union[Percentiles, _Mapping]] = ..., stages_ms: _Optional[_Mapping[str, Percentiles]] = ..., avg_rps: _Optional[float] = ..., avg_qps: _Optional[float] = ..., sr_percent: _Optional[float] = ..., avg_99th_ms: _Optional[float] = ..., cpu_percent: _Optional[float] = ..., completed: _Optional[int] = ..., failed: _Optional[_Mapping[str, int]] = ..., points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ..., xray: _Optional[_Union[Xray, _Mapping]] = ..., reasons: _Optional[_Mapping[str, int]] = ...) -> None: ...

class RunInfo(_message.Message):
    __slots__ = ("name", "target", "arrivals", "profile", "started", "state", "duration_s", "intervals", "completed", "failed", "p99_ms", "verdict", "slo", "ended_by", "problems", "title", "note")
    class SloEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bool
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bool] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ARRIVALS_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    INTERVALS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    P99_MS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SLO_FIELD_NUMBER: _ClassVar[int]
    ENDED_BY_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    target: str
    arrivals: str
    profile: str
    started: str
    state: RunState
    duration_s: float
    intervals: int
    completed: int
    failed: int
    p99_ms: float
    verdict: Verdict
    slo: _containers.ScalarMap[str, bool]
    ended_by: str
    problems: _containers.RepeatedScalarFieldContainer[str]
    title: str
    note: str
    def __init__(self, name: _Optional[str] = ..., target: _Optional[str] = ..., arrivals: _Optional[str] = ..., profile: _Optional[str] = ..., started: _Optional[str] = ..., state: _Optional[_Union[RunState, str]] = ..., duration_s: _Optional[float] = ..., intervals: _Optional[int] = ..., completed: _Optional[int] = ..., failed: _Optional[int] = ..., p99_ms: _Optional[float] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., slo: _Optional[_Mapping[str, bool]] = ..., ended_by: _Optional[str] = ..., problems: _Optional[_Iterable[str]] = ..., title: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class SearchInfo(_message.Message):
    __slots__ = ("name", "target", "slo", "rate_per_s", "confirmed", "reason", "steps", "ended", "ended_by", "title", "note")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SLO_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_S_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    ENDED_BY_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    target: str
    slo: str
    rate_per_s: float
    confirmed: bool
    reason: str
    steps: int
    ended: str
    ended_by: str
    title: str
    note: str
    def __init__(self, name: _Optional[str] = ..., target: _Optional[str] = ..., slo: _Optional[str] = ..., rate_per_s: _Optional[float] = ..., confirmed: _Optional[bool] = ..., reason: _Optional[str] = ..., steps: _Optional[int] = ..., ended: _Optional[str] = ..., ended_by: _Optional[str] = ..., title: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class RunRecord(_message.Message):
    __slots__ = ("info", "points", "result")
    INFO_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    info: RunInfo
    points: _containers.RepeatedCompositeFieldContainer[Point]
    result: Result
    def __init__(self, info: _Optional[_Union[RunInfo, _Mapping]] = ..., points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ..., result: _Optional[_Union[Result, _Mapping]] = ...) -> None: ...

class Rates(_message.Message):
    __slots__ = ("offered", "sent", "completed")
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    offered: float
    sent: float
    completed: float
    def __init__(self, offered: _Optional[float] = ..., sent: _Optional[float] = ..., completed: _Optional[float] = ...) -> None: ...

class Number(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: float
    def __init__(self, value: _Optional[float] = ...) -> None: ...

class Bounds(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    high: float
    def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("target", "arrivals", "seed", "duration_s", "offered", "sent", "completed", "failed", "rate", "latency_ms", "confidence_ms", "service_ms", "send_lag_us", "stages_ms", "verdict", "slo", "run", "xray", "nodes", "reasons", "examples", "ended_by", "answered_s", "addresses")
    class FailedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ConfidenceMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Bounds
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Bounds, _Mapping]] = ...) -> None: ...
    class SendLagUsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Number
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Number, _Mapping]] = ...) -> None: ...
    class StagesMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Percentiles
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Percentiles, _Mapping]] = ...) -> None: ...
    class SloEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bool
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bool] = ...) -> None: ...
    class NodesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: NodeFigures
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[NodeFigures, _Mapping]] = ...) -> None: ...
    class ReasonsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ExamplesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class AddressesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TARGET_FIELD_NUMBER: _ClassVar[int]
    ARRIVALS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_MS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_MS_FIELD_NUMBER: _ClassVar[int]
    SEND_LAG_US_FIELD_NUMBER: _ClassVar[int]
    STAGES_MS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SLO_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    XRAY_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    ENDED_BY_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_S_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    target: str
    arrivals: str
    seed: int
    duration_s: float
    offered: int
    sent: int
    completed: int
    failed: _containers.ScalarMap[str, int]
    rate: Rates
    latency_ms: Percentiles
    confidence_ms: _containers.MessageMap[str, Bounds]
    service_ms: Percentiles
    send_lag_us: _containers.MessageMap[str, Number]
    stages_ms: _containers.MessageMap[str, Percentiles]
    verdict: Verdict
    slo: _containers.ScalarMap[str, bool]
    run: str
    xray: Xray
    nodes: _containers.MessageMap[str, NodeFigures]
    reasons: _containers.ScalarMap[str, int]
    examples: _containers.ScalarMap[str, str]
    ended_by: str
    answered_s: float
    addresses: _containers.ScalarMap[str, int]
    def __init__(self, target: _Optional[str] = ..., arrivals: _Optional[str] = ..., seed: _Optional[int] = ..., duration_s: _Optional[float] = ..., offered: _Optional[int] = ..., sent: _Optional[int] = ..., completed: _Optional[int] = ..., failed: _Optional[_Mapping[str, int]] = ..., rate: _Optional[_Union[Rates, _Mapping]] = ..., latency_ms: _Optional[_Union[Percentiles, _Mapping]] = ..., confidence_ms: _Optional[_Mapping[str, Bounds]] = ..., service_ms: _Optional[_Union[Percentiles, _Mapping]] = ..., send_lag_us: _Optional[_Mapping[str, Number]] = ..., stages_ms: _Optional[_Mapping[str, Percentiles]] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., slo: _Optional[_Mapping[str, bool]] = ..., run: _Optional[str] = ..., xray: _Optional[_Union[Xray, _Mapping]] = ..., nodes: _Optional[_Mapping[str, NodeFigures]] = ..., reasons: _Optional[_Mapping[str, int]] = ..., examples: _Optional[_Mapping[str, str]] = ..., ended_by: _Optional[str] = ..., answered_s: _Optional[float] = ..., addresses: _Optional[_Mapping[str, int]] = ...) -> None: ...
