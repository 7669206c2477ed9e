"""LoadGen itself: it calls from a thread of its own, and must never see an exception.

One that crosses into its C++ ends the process. Nor can it be stopped: a test that is cut short
leaves its thread behind, until the process ends.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import mlperf_loadgen as lg

from tailrace.errors import TailraceError
from tailrace.mlperf.ledger import Failures, Ledger
from tailrace.mlperf.logs import DETAIL
from tailrace.mlperf.samples import SampleLibrary
from tailrace.mlperf.system import Query, Record, System

_AUDIT_CONF = "audit.config"
"""LoadGen's settings for an audit, if there is such a file in the current directory."""
# As "FindPeakPerformanceBinarySearch: Testing the mid value of bounds [target_qps: 10, …): 15".
_STEP = re.compile(r"(?:FindBoundaries|BinarySearch): [^\[\"]*(\[[^)\"]*\))")


class LoadGen:
    """One test of a system by LoadGen.

    Args:
        system: is asked for answers.
        library: has the samples.
        performance_samples: of the library, that are in memory at a time.
        failures: what LoadGen is told of those that fail.
    """

    def __init__(
        self, system: System, library: SampleLibrary, performance_samples: int, failures: Failures
    ) -> None:
        self.ledger = Ledger(_answer, failures)
        self.problems: list[str] = []
        """What went wrong beside single samples."""
        self.finished = threading.Event()
        self.name = ""
        """What the system last called itself."""
        self._system = system
        self._library = library
        self._performance_samples = performance_samples

    def start(self, settings: lg.TestSettings, folder: Path) -> None:
        """Begins, with its logs in `folder`; `finished` is set at the end."""
        output = lg.LogOutputSettings()
        output.outdir = str(folder)
        logs = lg.LogSettings()
        logs.log_output = output
        logs.enable_trace = False
        threading.Thread(target=self._run, args=(settings, logs), daemon=True).start()

    def _run(self, settings: lg.TestSettings, logs: lg.LogSettings) -> None:
        sut = lg.ConstructQDL(self._issue, self.ledger.flush, self._ask_name)
        library = self._library
        qsl = lg.ConstructQSL(library.total, self._performance_samples, self._load, library.unload)
        lg.StartTestWithLogSettings(sut, qsl, settings, logs, _AUDIT_CONF)
        self.finished.set()

    def _issue(self, wanted: Sequence[lg.QuerySample]) -> None:
        ledger, library = self.ledger, self._library
        query_ids = [query.id for query in wanted]
        ledger.issue(query_ids)
        try:
            queries = [Query(query.id, library[query.index]) for query in wanted]
            self._system.issue(queries, ledger)
        except Exception as error:  # noqa: BLE001 - it must not reach LoadGen
            for query_id in query_ids:
                ledger.fail(query_id, f"{type(error).__name__}: {error}")

    def _load(self, indices: Sequence[int]) -> None:
        try:
            self._library.load(indices)
        except Exception as error:  # noqa: BLE001 - as above
            self._give_up(str(error))

    def _ask_name(self) -> str:
        try:
            self.name = self._system.name()
        except TailraceError as error:
            self.problems.append(f"the system did not say its name: {error}")
        return self.name

    def _give_up(self, problem: str) -> NoReturn:
        # There is no way to tell LoadGen. Its thread waits for the end of the process.
        self.problems.append(problem)
        self.ledger.broken.set()
        while True:
            threading.Event().wait()


def last_step(folder: Path) -> str:
    """The rates between which a search for the peak is, as LoadGen has logged it; empty before."""
    try:
        log = (folder / DETAIL).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = _STEP.findall(log)
    return f"peak in {found[-1]}/s" if found else ""


def _answer(query_id: int, record: Record) -> None:
    # LoadGen copies what it logs before it returns.
    address: int = record.__array_interface__["data"][0]
    lg.QuerySamplesComplete([lg.QuerySampleResponse(query_id, address, record.nbytes)])
