"""What libraries log of clients' doings, said now and then: anybody could fill a disk with it."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from tailrace.plain import plain

EVERY_S = 60.0
LOGGERS = ("asyncio", "engineio.server", "nicegui", "python_multipart", "socketio.server")
"""Of the libraries that answer browsers, next to the server's own."""


class Seldom(logging.Filter):
    """Lets one record through every `every_s` for each place in the code that something is logged
    from, and says how many it has kept back since the last.
    """

    def __init__(self, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self._every_s = every_s
        self._clock = clock
        self._places: dict[tuple[object, ...], tuple[float, int]] = {}
        """Until when each place is kept quiet, and how many records it has lost so far."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter; what a record says is made fit to be shown."""
        error = record.exc_info[1] if record.exc_info else None
        place = record.pathname, record.lineno, type(error), _line(error)
        until_s, lost = self._places.get(place, (0.0, 0))
        now_s = self._clock()
        if now_s < until_s:
            self._places[place] = until_s, lost + 1
            return False
        self._places[place] = now_s + self._every_s, 0
        more = f" ({lost:,} more like it were not shown)" if lost else ""
        record.msg, record.args = plain(record.getMessage()) + more, ()
        return True


@contextlib.contextmanager
def said_seldom(*more: str) -> Iterator[None]:
    """Have LOGGERS, and `more` of these names, say little for as long as the context lasts."""
    loggers = [logging.getLogger(name) for name in (*LOGGERS, *more)]
    seldom = Seldom()
    for logger in loggers:
        logger.addFilter(seldom)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(seldom)


def _line(error: BaseException | None) -> tuple[str, int] | None:
    """Where an error was raised."""
    trace = error.__traceback__ if error is not None else None
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno
