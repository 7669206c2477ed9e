"""What comes of a control room that cannot be asked."""

from tailrace.errors import TailraceError


class UnreachableError(TailraceError):
    """No control room answers, or it has gone away."""


class TokenError(TailraceError):
    """The control room asks for a token, or for another one."""


def unreachable(address: str, reason: str) -> UnreachableError:
    """The error for a control room that did not answer, for this reason."""
    return UnreachableError(f"no control room answers at {address}: {reason}")


def token_error(address: str, *, given: bool) -> TokenError:
    """The error for a refused token, or for none."""
    if given:
        return TokenError(f"the control room at {address} does not accept this token")
    return TokenError(f"the control room at {address} asks for a token: set TAILRACE_TOKEN")
