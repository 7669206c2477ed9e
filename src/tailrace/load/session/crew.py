"""Where a run's load workers come from: the seam between a session and the machines it uses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tailrace.load.session.child import ChildProcess
from tailrace.load.worker.messages import Message, Setup

Heard = Callable[[bytes], None]
"""Told of each piece of the byte stream of frames that a worker sends."""
Gone = Callable[[str], None]
"""Told once, with the reason, when nothing more will come from a worker: `died`."""


@dataclass(frozen=True, slots=True)
class NodeClock:
    """How a node's CLOCK_MONOTONIC compares with the session's."""

    error_ns: int
    """No instant told to the node is off by more, drift included, as last measured."""
    drift_ns: int
    """By how much the offset has changed since the run's start."""


class Line(Protocol):
    """The way to one load worker, wherever it runs."""

    @property
    def node(self) -> str:
        """The machine it runs on; "" for this one."""

    @property
    def clock_offset_ns(self) -> int:
        """The worker's CLOCK_MONOTONIC minus this process's."""

    def tell(self, message: Message) -> None:
        """Send a message, after all that were sent before; to a worker that is gone, nothing."""

    def kill(self) -> None:
        """End the worker at once."""

    async def reap(self) -> None:
        """Return when the worker has ended and nothing is left of it."""


class Crew(Protocol):
    """A source of load workers, for one run."""

    @property
    def start_lead_ns(self) -> int:
        """How far ahead the common start must lie for all workers to know of it by then."""

    @property
    def change_lead_ns(self) -> int:
        """How far ahead a live change must lie for all workers to bend their schedules in time."""

    @property
    def clocks(self) -> Mapping[str, NodeClock]:
        """Of each node that has a clock of its own, by its name."""

    async def gather(self, workers: int) -> None:
        """Make room for so many workers. Called once, first.

        Raises:
            UsageError, GeneratorError: there is none.
        """

    async def hire(self, setup: Setup, heard: Heard, gone: Gone) -> Line:
        """Start a worker and tell it `setup`; one whose `from_s` is not 0 takes another's place.

        Raises:
            OSError, GeneratorError: it cannot be started.
        """

    async def close(self) -> None:
        """Give back what `gather` took. The workers have ended by then, or are ended by it."""


class LocalCrew:
    """Processes of this machine."""

    start_lead_ns = 100_000_000
    change_lead_ns = 10_000_000
    clocks: Mapping[str, NodeClock] = {}

    async def gather(self, workers: int) -> None:
        """See Crew."""

    async def hire(self, setup: Setup, heard: Heard, gone: Gone) -> Line:
        """See Crew."""
        child = ChildProcess(heard, gone)
        await child.spawn()
        child.tell(setup)
        return child

    async def close(self) -> None:
        """See Crew."""
