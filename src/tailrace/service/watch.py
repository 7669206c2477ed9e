"""Whether a worker process moves, by what it notes of itself in its row of the sheet.

Time is counted in looks, not read from a clock: whoever stops a whole machine or container, and so
both processes, makes no worker look as if it hung.
"""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.service.sheet import BEAT, BEGAN

LOOK_S = 0.5
"""How often to look."""
ASIDE_S = 2.0
"""A worker whose event loop stands still for so long gets no new connections."""
SILENT_S = 10.0
"""… and for so long, is replaced."""
_WARM_TIMES = 10


class Watch:
    """Looks at one worker, every `look_s`."""

    def __init__(
        self, head: Sequence[int], stuck_s: float, slowest_s: float, look_s: float = LOOK_S
    ) -> None:
        """`head` is that of the worker's row. An inference is stuck that takes longer than
        `stuck_s`, unless the slowest of the warm-up, `slowest_s`, shows that it may well."""
        self._head = head
        self._look_s = look_s
        self._stuck_s = max(stuck_s, _WARM_TIMES * slowest_s)
        self._seen = (0, 0)
        self._silent = 0
        self._stuck = 0

    def look(self) -> None:
        """Compares with what the last look saw."""
        seen = self._head[BEAT], self._head[BEGAN]
        self._silent = self._silent + 1 if seen[0] == self._seen[0] else 0
        self._stuck = self._stuck + 1 if seen[1] and seen[1] == self._seen[1] else 0
        self._seen = seen

    @property
    def is_silent(self) -> bool:
        """Whether it is to get no new connections for now."""
        return self._silent * self._look_s >= ASIDE_S

    @property
    def hangs(self) -> str | None:
        """Why it is to be replaced; None if it is not."""
        if self._silent * self._look_s >= SILENT_S:
            return f"it has stood still for {SILENT_S:g} s"
        return self.stuck

    @property
    def stuck(self) -> str | None:
        """Why it is to be replaced, as far as its inferences go; None if it is not."""
        if self._stuck * self._look_s >= self._stuck_s:
            return f"an inference has taken {self._stuck_s:.3g} s"
        return None
