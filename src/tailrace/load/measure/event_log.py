"""The events of a run, kept until the interval that they belong to is told."""

from bisect import bisect_left

from tailrace.load.measure.point import Event


class EventLog:
    """Events that no Point has told yet; none is ever lost."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def __len__(self) -> int:
        return len(self._events)

    def note(self, event: Event) -> None:
        """Keep one until it is taken."""
        self._events.append(event)

    def take(self, before_s: float) -> tuple[Event, ...]:
        """Those that took effect before `before_s`, in order of time; they are kept no longer."""
        self._events.sort(key=_instant)
        count = bisect_left(self._events, before_s, key=_instant)
        taken, self._events = self._events[:count], self._events[count:]
        return tuple(taken)


def _instant(event: Event) -> float:
    return event.t_s
