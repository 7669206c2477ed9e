"""What ended a run, and what that means to who reads of it."""

import signal

DURATION = "duration"
"""All was offered that was asked for."""
STOP = "stop"
"""Somebody stopped it, through any face of the control room."""
ABORT_ON = "abort-on"
"""It was hopeless by its own `--abort-on`."""
WORKERS = "workers"
"""Every load worker was lost."""
FAULT = "fault"
"""It could not be followed any further, by a fault of Tailrace's own."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Whose names say the rest: `SIGINT` is Ctrl-C, `SIGHUP` a terminal that is gone."""


def signal_code(ended_by: str | None) -> int | None:
    """The exit code of a command that a signal cut short, as a shell has it; None for others."""
    numbers = {number.name: 128 + number for number in SIGNALS}
    return numbers.get(ended_by or "")


def describe_end(ended_by: str | None, after: str) -> str | None:
    """How a run was cut short, for a person, `after` so long; None where it was not."""
    match ended_by:
        case None | "duration":
            return None
        case "stop":
            return f"it was stopped after {after}"
        case "abort-on":
            return f"it ended itself as hopeless after {after}"
        case "fault":
            return f"it was ended after {after} by a fault of Tailrace's own"
        case "workers":
            return f"it ended after {after}, when every load worker was lost"
        case _:
            return f"it was cut short by {ended_by} after {after}"
