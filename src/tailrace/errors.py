"""The one family of errors. Each message tells the user what is wrong and what to do about it."""

import errno

from tailrace.plain import plain

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a write fails with where a disk, a quota or a limit is full."""


class TailraceError(Exception):
    """Anything Tailrace refuses or cannot do; the CLI prints its message as one line."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        # It may quote a file, a header, an answer: what somebody else wrote.
        super().__init__(plain(message))


class UsageError(TailraceError):
    """An argument, expression or file the user gave cannot be used as it stands."""

    exit_code = 2
