"""The one family of errors. Each message tells the user what is wrong and what to do about it."""

import errno

from tailrace.plain import plain

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a write fails with where a disk, a quota or a limit is full."""


class TailraceError(Exception):
    """Anything Tailrace refuses or cannot do; the CLI prints its message as one line.

    A class that says how it is answered, by HTTP and by gRPC, is known to those who ask from
    elsewhere: they get the same class, where they get a plain TailraceError for any other.
    """

    exit_code = 1
    http_status = 500
    rpc_status = "INTERNAL"

    def __init__(self, message: str = "") -> None:
        # It may quote a file, a header, an answer: what somebody else wrote.
        super().__init__(plain(message))


class UsageError(TailraceError):
    """An argument, expression or file the user gave cannot be used as it stands."""

    exit_code = 2
    http_status = 400
    rpc_status = "INVALID_ARGUMENT"


def known_as(error: TailraceError) -> type[TailraceError]:
    """The class that says how `error` is answered: its own, or the nearest above; its own too
    where none does.
    """
    kinds = type(error).__mro__
    said = next(kind for kind in kinds if "http_status" in vars(kind))
    return said if said is not TailraceError else type(error)


def known(name: str) -> type[TailraceError]:
    """The class of that name that says how it is answered, or TailraceError."""
    found = {"TailraceError": TailraceError}
    left = [TailraceError]
    while left:
        below = left.pop().__subclasses__()
        found |= {kind.__name__: kind for kind in below if "http_status" in vars(kind)}
        left += below
    return found.get(name, TailraceError)
