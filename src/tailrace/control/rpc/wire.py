"""What server and client of `tailrace.v1.LoadControl` must agree on."""

import grpc

from tailrace.control.config import ServiceConfig
from tailrace.control.interface import (
    NotAllowedError,
    RunInfo,
    RunRecord,
    SearchInfo,
    ServiceInfo,
    StateError,
    UnknownRunError,
    UnknownServiceError,
    Update,
    Window,
)
from tailrace.control.rpc import tailrace_pb2 as pb
from tailrace.control.rpc.codec import Codec
from tailrace.errors import TailraceError, UsageError
from tailrace.load.measure.point import Point

SERVICE = pb.DESCRIPTOR.services_by_name["LoadControl"]

CONFIG = Codec(ServiceConfig, pb.ServiceConfig)
INFO = Codec(ServiceInfo, pb.ServiceInfo)
POINT = Codec(Point, pb.Point)
WINDOW = Codec(Window, pb.Window)
UPDATE = Codec(Update, pb.Update)
RUN_INFO = Codec(RunInfo, pb.RunInfo)
SEARCH = Codec(SearchInfo, pb.SearchInfo)
RECORD = Codec(RunRecord, pb.RunRecord)

ERROR_KEY = "tailrace-error"
"""Trailing metadata: the name of the error's class."""
CODES: dict[type[TailraceError], grpc.StatusCode] = {
    UsageError: grpc.StatusCode.INVALID_ARGUMENT,
    UnknownServiceError: grpc.StatusCode.NOT_FOUND,
    UnknownRunError: grpc.StatusCode.NOT_FOUND,
    StateError: grpc.StatusCode.FAILED_PRECONDITION,
    NotAllowedError: grpc.StatusCode.PERMISSION_DENIED,
}
"""Every other TailraceError is INTERNAL."""

KEEPALIVE = (
    # A peer that is gone without a word is noticed within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
