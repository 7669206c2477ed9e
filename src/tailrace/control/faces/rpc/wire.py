"""What server and client of `tailrace.v1.LoadControl` must agree on."""

ERROR_KEY = "tailrace-error"
"""Trailing metadata: the name of the error's class."""

KEEPALIVE = (
    # A peer that is gone without a word is noticed within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
