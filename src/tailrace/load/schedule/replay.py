"""Recorded arrivals, played again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np

from tailrace.errors import UsageError
from tailrace.load.schedule.processes import CHUNK
from tailrace.load.schedule.rate_trace import check_factors
from tailrace.load.schedule.segments import Floats, format_number
from tailrace.load.schedule.trace import Counts, Rates, Timestamps
from tailrace.load.schedule.trace_file import read_trace, write_array


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """The arrivals of a recording, `scale` times as many, `speed` times as fast.

    In operational time the recording has mean rate 1. Under a constant profile of
    `natural_rate_per_s` the arrivals come as they were recorded; under another profile they keep
    their pattern and take its rate. After the last one none follow.
    """

    path: str
    column: str | None
    unit: str | None
    scale: float
    speed: float
    recording: Timestamps | Counts

    @classmethod
    def read(
        cls,
        path: str,
        column: str | None = None,
        unit: str | None = None,
        scale: float = 1.0,
        speed: float = 1.0,
    ) -> "Replay":
        """The recording in the file `path`, as trace_file.py describes it.

        Raises:
            UsageError: the file cannot be used, or it holds rates; `scale` or `speed` is not
                positive, or too large.
        """
        check_factors(scale, speed)
        recording = read_trace(path, column, unit)
        if isinstance(recording, Rates):
            raise UsageError(
                f"trace {path!r} holds rates, not arrivals: use it as --profile 'trace({path})'"
            )
        return cls(path, column, unit, scale, speed, recording)

    def compact(self, path: Path) -> "Replay":
        """The same arrivals, those of a list of timestamps in a file at `path`, which is made: many
        processes map it, where each would read the whole of this one.
        """
        if not isinstance(self.recording, Timestamps):
            return self
        write_array(path, self.recording)
        return replace(self, path=str(path), column=None, unit=None)

    @property
    def expression(self) -> str:
        """`trace:FILE`, with `?scale=2&speed=10&column=NAME&unit=ms` where they are not the
        default.
        """
        options = [
            f"{name}={format_number(factor)}"
            for name, factor in (("scale", self.scale), ("speed", self.speed))
            # A name with a question mark must not be taken for one with options.
            if factor != 1 or (name == "scale" and "?" in self.path)
        ]
        if self.column is not None:
            options.append(f"column={quote(self.column)}")
        if self.unit is not None:
            options.append(f"unit={self.unit}")
        return f"trace:{self.path}" + ("?" + "&".join(options) if options else "")

    @property
    def natural_rate_per_s(self) -> float:
        """See Arrivals."""
        return self._density * self.speed

    @property
    def natural_duration_s(self) -> float:
        """See Arrivals."""
        return self.recording.duration_s / self.speed

    def chunks(self, seed: int) -> Iterator[Floats]:
        """See Arrivals."""
        draw = np.random.Generator(np.random.PCG64(seed))
        rest = np.empty(0)
        for batch in self.recording.arrivals(draw, self.scale, CHUNK):
            rest = np.concatenate([rest, batch * self._density])
            whole = len(rest) // CHUNK * CHUNK
            yield from rest[:whole].reshape(-1, CHUNK)
            rest = rest[whole:]
        yield np.append(rest, np.full(CHUNK - len(rest), np.inf))
        while True:
            yield np.full(CHUNK, np.inf)

    @property
    def _density(self) -> float:
        return self.recording.total * self.scale / self.recording.duration_s
