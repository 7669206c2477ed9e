"""What a control room says of its runs to the terminal it was started in."""

from collections.abc import Callable

import typer

from tailrace.control.interface import ServiceInfo
from tailrace.load.judge.answers import other_answers, slo_answers
from tailrace.load.measure.failures import describe_failures
from tailrace.load.session.result import Result, answering_s
from tailrace.plain import plain
from tailrace.units import format_duration


class RunLog:
    """One line as a run begins, one for each thing that goes wrong with it, and one as it ends.

    Args:
        note: prints a line for a person.
        result: the result document of a service's last run that is over.
    """

    def __init__(self, note: Callable[[str], None], result: Callable[[str], Result | None]) -> None:
        self._note = note
        self._result = result
        self._runs: dict[str, str] = {}
        self._problems: dict[str, list[str]] = {}
        self._going: set[str] = set()

    def see(self, service: ServiceInfo) -> None:
        """Say what is new of `service`; what was said already is not said again."""
        # While a run starts, everything else is still the last one's.
        if service.run is None or service.state == "starting":
            return
        if self._runs.get(service.id) != service.run:
            self._runs[service.id] = service.run
            self._problems[service.id] = []
            self._going.add(service.id)
            self._note(f"{service.id}: load on {service.url}, {service.profile}; {service.run}")
        said = self._problems[service.id]
        for problem in service.problems:
            if problem not in said:
                said.append(problem)
                self._note(f"tailrace: error: {service.id}: {problem}")
        if service.state in ("idle", "removed") and service.id in self._going:
            self._going.discard(service.id)
            result = self._result(service.id)
            if result is not None and result.run == service.run:
                typer.echo(plain(f"{service.id}: {summary(result)}"))


def summary(result: Result) -> str:
    """A run in one line: counts, p99, the answers with their reasons, and where its files are."""
    p99 = result.latency_ms.p99
    answering = format_duration(answering_s(result.duration_s, result.answered_s))
    figures = [
        f"{result.completed:,} answered in {answering}",
        f"failed: {describe_failures(result.reasons)}" if result.reasons else "none failed",
        f"p99 {format_duration(p99 / 1000)}" if p99 is not None else "no latency",
        *(answer.brief for answer in slo_answers(result.slo, result.decisions)),
    ]
    answers = other_answers(result.verdict, result.mlperf)
    said = (f"{each.name} {each.line}" for each in answers)
    return "; ".join([", ".join(figures), *said, str(result.run)])
