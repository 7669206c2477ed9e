"""What this control room may do: where load may go, how much of it, and which files it may send."""

from dataclasses import dataclass
from pathlib import Path

from tailrace.load.profile import Profile

LOOPBACK = ("127.0.0.0/8", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Limits:
    """None of each is no limit."""

    allow: tuple[str, ...] | None = None
    max_rate_per_s: float | None = None
    bodies: Path | None = None

    async def check_target(self, url: str) -> None:
        """Raises NotAllowedError."""

    def check_profile(self, profile: Profile) -> None:
        """Raises NotAllowedError."""

    def check_file(self, path: Path) -> None:
        """Raises NotAllowedError."""

    def check_text(self, text: str) -> None:
        """A profile or arrivals given at run time: one that reads a file (a trace) is allowed only
        where `bodies` is None. Raises NotAllowedError."""
