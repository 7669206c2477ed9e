"""Whether a test is VALID, by LoadGen's own word, by ours, and by what went wrong around it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from tailrace.errors import TailraceError, UsageError
from tailrace.mlperf import outcome as outcomes
from tailrace.mlperf.accuracy_log import read_log
from tailrace.mlperf.logs import (
    ACCURACY,
    DETAIL,
    MOST_BYTES,
    OURS,
    Detail,
    Summary,
    read_detail,
    read_summary,
)
from tailrace.mlperf.outcome import Mode, Outcome, read_outcome
from tailrace.mlperf.recount import Headline, count_samples, figures_of, headline_of, recount
from tailrace.mlperf.rules import deviations, rules_for
from tailrace.mlperf.scenario import Scenario, find_scenario
from tailrace.mlperf.submission.layout import Place, place_of
from tailrace.mlperf.system import NODES
from tailrace.models import zoo
from tailrace.untrusted import UnreadableError, read_file

NETWORK_NAME = "Network SUT"
"""Must be in the name of a system over the network (MLPerf inference rules, Network division)."""

_MODES: dict[str, Mode] = {
    "PerformanceOnly": "performance",
    "SubmissionRun": "performance",
    "AccuracyOnly": "accuracy",
    "FindPeakPerformance": "find-peak",
}
_ACCURACY = re.compile(r"^(mAP|accuracy)=(\d+(?:\.\d*)?)%", re.MULTILINE)
_METRICS = {"mAP": "mAP", "top-1": "accuracy"}
_ROUNDING = 1e-9
_T = TypeVar("_T")


class TestCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement on one test."""

    __test__ = False  # not for pytest

    path: str
    model: str | None
    """None where neither the test nor its place says it; as the next two."""
    scenario: str | None
    mode: Mode | None
    system: str
    """What the system called itself."""
    valid: bool
    reasons: list[str]
    """Why it is not."""
    official: bool
    """Whether its settings are MLPerf's."""
    deviations: list[str]
    """In what they are not."""
    notes: list[str]
    headline: Headline | None
    figures: dict[str, float]
    """Numbers of LoadGen's, by names that have their units."""


def check_tree(folder: Path) -> list[TestCheck]:
    """The judgement on each test in a folder or anywhere below it, by path.

    Raises:
        UsageError: there is none.
    """
    found = {file.parent for name in (DETAIL, outcomes.FILE) for file in folder.rglob(name)}
    if not found:
        raise UsageError(f"no test of LoadGen's in {folder}: it has no {DETAIL}")
    return [check_test(each) for each in sorted(found)]


def check_test(folder: Path) -> TestCheck:
    """The judgement on the test whose logs lie in `folder`; logs that are missing or broken make
    it INVALID."""
    return _Check(folder).judge()


class _Check:
    """What is known of one test, and what speaks against it so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reasons: list[str] = []
        self.notes: list[str] = []
        self.figures: dict[str, float] = {}
        self.headline: Headline | None = None
        self.place: Place | None = place_of(folder)
        self.detail: Detail | None = self._read(read_detail)
        self.summary: Summary | None = self._read(read_summary)
        self.outcome: Outcome | None = self._read(read_outcome)
        self.mode = self._agreed("mode", self._modes())
        self.scenario = self._agreed("scenario", self._scenarios())
        self.model = self._agreed("model", self._models())
        self.spec = next((each for each in zoo.SPECS if each.name == self.model), None)

    def judge(self) -> TestCheck:
        if self.outcome is not None:
            self._ask_outcome(self.outcome)
        elif not (self.folder / outcomes.FILE).exists():
            self.notes.append(
                f"there is no {outcomes.FILE}: whether samples have failed is not known"
            )
        if self.summary is not None and self.summary.text.startswith(OURS):
            self.reasons.append(self.summary.text.strip())
        elif self.summary is not None and not self.summary.complete:
            self.reasons.append("LoadGen's summary is empty or cut off: the test did not end")
        if self.detail is not None:
            self._ask_detail(self.detail)
        system = (self.detail and self.detail.text("sut_name")) or (
            self.outcome.system if self.outcome else ""
        )
        self._ask_network(system)
        found = self._deviations()
        return TestCheck(
            path=str(self.folder),
            model=self.model,
            scenario=self.scenario.name if self.scenario else None,
            mode=self.mode,
            system=system,
            valid=not self.reasons,
            reasons=self.reasons,
            official=not found,
            deviations=found,
            notes=self.notes,
            headline=self.headline,
            figures=self.figures,
        )

    def _read(self, reader: Callable[[Path], _T]) -> _T | None:
        try:
            return reader(self.folder)
        except TailraceError as error:
            self.reasons.append(str(error))
            return None

    def _agreed(self, what: str, said: dict[str, _T]) -> _T | None:
        """What all say who say it at all; LoadGen first."""
        values = list(said.values())
        if any(value != values[0] for value in values[1:]):
            texts = (f"{getattr(v, 'name', v)} by {who}" for who, v in said.items())
            self.reasons.append(f"the {what} is {', '.join(texts)}: these do not belong together")
        return values[0] if values else None

    def _modes(self) -> dict[str, Mode]:
        said: dict[str, Mode] = {}
        if self.detail and (mode := _MODES.get(self.detail.text("effective_test_mode") or "")):
            said[DETAIL] = mode
        if self.summary and (mode := _MODES.get(self.summary.fields.get("Mode", ""))):
            said["the summary"] = mode
        if self.outcome:
            said[outcomes.FILE] = self.outcome.mode
        if self.place:
            said["its folder"] = self.place.mode
        return said

    def _scenarios(self) -> dict[str, Scenario]:
        names = {
            DETAIL: self.detail.text("effective_scenario") if self.detail else None,
            "the summary": self.summary.fields.get("Scenario") if self.summary else None,
            outcomes.FILE: self.outcome.scenario if self.outcome else None,
        }
        said = {}
        for who, name in names.items():
            try:
                if name:
                    said[who] = find_scenario(name)
            except UsageError:
                self.reasons.append(f"{who} has a scenario {name!r}, which is none of MLPerf's")
        if self.place:
            said["its folder"] = self.place.scenario
        return said

    def _models(self) -> dict[str, str]:
        said = {outcomes.FILE: self.outcome.model} if self.outcome else {}
        if self.place:
            said["its folder"] = self.place.model
        return said

    def _ask_outcome(self, outcome: Outcome) -> None:
        self.notes += outcome.notes
        self.reasons += outcomes.faults(outcome)

    def _ask_detail(self, detail: Detail) -> None:
        if not detail.values:
            self.reasons.append(f"{DETAIL} has nothing of LoadGen's in it")
        elif detail.truncated:
            self.reasons.append(f"the last line of {DETAIL} is half-written")
        if detail.broken_lines:
            lines = ", ".join(map(str, detail.broken_lines[:5]))
            self.reasons.append(f"{DETAIL} cannot be read in lines {lines}")
        for error in dict.fromkeys(detail.errors):
            if error not in detail.own_errors:
                self.reasons.append(f"LoadGen logged an error: {error}")
            elif self.outcome is None:
                self.reasons.append(error)
        for warning, times in Counter(detail.warnings).items():
            again = f" ({times} times)" if times > 1 else ""
            self.notes.append(f"LoadGen warned: {warning}{again}")
        if self.mode is None or self.scenario is None:
            self.reasons.append("nothing says what scenario and mode it was")
        elif self.mode == "accuracy":
            self._ask_accuracy(detail)
        else:
            self._ask_performance(detail, self.scenario, self.mode)

    def _ask_performance(self, detail: Detail, scenario: Scenario, mode: Mode) -> None:
        verdict = detail.text("result_validity")
        if verdict is None:
            self.reasons.append(f"{DETAIL} has no result: the test did not end")
            return
        if detail.number("num_errors") is None:
            self.reasons.append(f"{DETAIL} is cut off: it does not have the number of errors")
        said = self.summary.valid if self.summary else None
        if said is not None and said != (verdict == "VALID"):
            self.reasons.append(
                f"LoadGen's summary says {'VALID' if said else 'INVALID'}, its detail log {verdict}"
            )
        elif said is None and self.summary and self.summary.complete:
            self.reasons.append("LoadGen's summary has no verdict")
        reasons = recount(detail, scenario)
        if verdict != "VALID" and not reasons:
            why = detail.text("result_invalid_reason")
            reasons = [f"LoadGen says {verdict}{': ' if why else ''}{(why or '').strip()}"]
        if mode == "find-peak":
            # The last step of a search is at the edge, where early stopping proves nothing.
            self.notes += [f"of the peak: {reason}" for reason in reasons]
        else:
            self.reasons += reasons
        self.figures = figures_of(detail, scenario)
        self.headline = headline_of(detail, scenario, mode)
        if mode == "find-peak" and self.headline is None:
            self.reasons.append("LoadGen found no peak")
        samples = count_samples(detail, scenario)
        issued = self.outcome.issued if self.outcome else None
        if mode == "performance" and None not in (samples, issued) and samples != issued:
            self.reasons.append(f"LoadGen counted {samples:,.0f} samples, and Tailrace {issued:,}")

    def _ask_accuracy(self, detail: Detail) -> None:
        total = detail.number("qsl_reported_total_count")
        if total is None:
            self.reasons.append(f"{DETAIL} does not say how many samples there are")
            return
        self.figures["samples"] = total
        wanted = min(total, detail.number("effective_accuracy_sample_count") or total)
        try:
            missing = wanted - len(read_log(self.folder / ACCURACY, int(total)))
        except TailraceError as error:
            self.reasons.append(str(error))
        else:
            if missing > 0:
                self.reasons.append(f"{missing:,.0f} of {wanted:,.0f} samples have no record")
        self._ask_accuracy_text()

    def _ask_accuracy_text(self) -> None:
        file = self.folder / "accuracy.txt"
        try:
            data = read_file(file, MOST_BYTES)
        except UnreadableError as error:
            self.reasons.append(f"{self.folder}: {error}")
            return
        if data is None:
            self.notes.append("there is no accuracy.txt: the accuracy is not known yet")
            return
        match = _ACCURACY.search(data.decode(errors="replace"))
        if match is None:
            self.reasons.append(f"{file} has neither mAP=…% nor accuracy=…%")
            return
        metric, percent = match[1], float(match[2])
        self.headline = Headline(metric, percent, "%")
        wanted = self.spec.accuracy if self.spec else None
        if wanted is None:
            return
        if metric != _METRICS[wanted.metric]:
            self.reasons.append(f"{file} has {metric}, and the accuracy is {wanted.metric}")
        elif percent < 100 * wanted.target - _ROUNDING:
            self.reasons.append(
                f"{metric} is {percent:g} %: MLPerf demands {100 * wanted.target:.4g} % "
                f"({wanted.fraction:g} of the reference's {100 * wanted.reference:.4g} %)"
            )

    def _ask_network(self, system: str) -> None:
        division = self.place.division if self.place else None
        targets = self.outcome.targets if self.outcome else []
        if division == "network" and self.outcome and not targets:
            self.reasons.append("it is in the Network division, and the system was in process")
        if division != "network" and not targets:
            return
        if NETWORK_NAME not in system:
            self.reasons.append(
                f"the system calls itself {system!r}: over the network, the name must have "
                f"{NETWORK_NAME!r} in it"
            )
        names = system.split(NODES)
        if len(set(names)) < len(names):
            self.reasons.append("two nodes have one name: over the network, each has its own")
        if self.scenario and not self.scenario.network:
            self.notes.append(
                f"MLPerf's Network division has server and offline, not {self.scenario.name}"
            )

    def _deviations(self) -> list[str]:
        if self.detail is None or self.scenario is None:
            return ["LoadGen's settings are not known"]
        if self.spec is None:
            return [f"what MLPerf demands of {self.model or 'a model without a name'} is not known"]
        rules = rules_for(self.spec, self.scenario)
        if rules.history:
            self.notes.append(rules.history)
        total = self.detail.number("qsl_reported_total_count")
        return deviations(rules, self.detail.values, None if total is None else int(total))
