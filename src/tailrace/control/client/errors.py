"""What a remote control room's refusals become here: the same exceptions as its own."""

from tailrace.control.interface import (
    NotAllowedError,
    StateError,
    UnknownRunError,
    UnknownServiceError,
)
from tailrace.errors import TailraceError, UsageError


class UnreachableError(TailraceError):
    """No control room answers, or it has gone away."""


class TokenError(TailraceError):
    """The control room asks for a token, or for another one."""


_KNOWN: dict[str, type[TailraceError]] = {
    kind.__name__: kind
    for kind in (UsageError, UnknownServiceError, UnknownRunError, StateError, NotAllowedError)
}


def revive(name: str, line: str) -> TailraceError:
    """The error of this class and this line; a plain TailraceError for any other class."""
    return _KNOWN.get(name, TailraceError)(line)


def unreachable(address: str, reason: str) -> UnreachableError:
    """The error for a control room that did not answer, for this reason."""
    return UnreachableError(f"no control room answers at {address}: {reason}")


def token_error(address: str, *, given: bool) -> TokenError:
    """The error for a refused token, or for none."""
    if given:
        return TokenError(f"the control room at {address} does not accept this token")
    return TokenError(f"the control room at {address} asks for a token: set TAILRACE_TOKEN")
