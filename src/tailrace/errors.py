"""The one family of errors. Each message tells the user what is wrong and what to do about it."""


class TailraceError(Exception):
    """Anything Tailrace refuses or cannot do; the CLI prints its message as one line."""

    exit_code = 1


class UsageError(TailraceError):
    """An argument, expression or file the user gave cannot be used as it stands."""

    exit_code = 2
