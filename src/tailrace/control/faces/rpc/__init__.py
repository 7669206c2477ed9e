"""gRPC: LoadControl as `tailrace.v1.LoadControl`.

Messages and calls are made from the interface's own structs and methods; tailrace.proto, for other
languages, is written from them by `make proto`. Nothing here decides anything: server and codec
only translate.
"""

ERROR_KEY = "tailrace-error"
"""Trailing metadata: the name of the error's class."""

KEEPALIVE = (
    # A peer that is gone without a word is noticed within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
