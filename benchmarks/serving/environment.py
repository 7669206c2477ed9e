"""What a server under test is told, through the environment. Needs nothing but Python."""

import os

PORT = "TAILRACE_BENCH_PORT"
WORKERS = "TAILRACE_BENCH_WORKERS"
MODEL = "TAILRACE_BENCH_MODEL"
FILE = "TAILRACE_BENCH_FILE"


def port() -> int:
    """The port to serve on, at 127.0.0.1."""
    return int(os.environ[PORT])


def workers() -> int:
    """Processes, each with its own copy of the model."""
    return int(os.environ[WORKERS])
