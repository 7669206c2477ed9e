"""The answers on a run in words, the same wherever a person reads them.

A run has three: whether its measurement is sound (a Verdict), what it decides of each SLO, and
where somebody asked, whether it is official by MLPerf's conditions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tailrace.load.judge.dependence import Decided, SloDecision
from tailrace.load.judge.verdict import MlperfAnswer, Verdict
from tailrace.units import format_duration

_WORDS = {"kept": "kept", "broken": "broken", "undecided": "not decided yet"}


@dataclass(frozen=True, slots=True)
class SloAnswer:
    """What a run says of one SLO."""

    expression: str
    outcome: Decided
    """As decided; of a run that decided nothing, as earlier versions', as measured."""
    is_kept: bool
    """As measured: an SLO that is not fails a pipeline, however sure that is."""
    reason: str = ""
    """In a line; empty where nothing was decided."""
    needed_s: float | None = None
    """How much longer a run would decide it, if that can be told."""

    @property
    def word(self) -> str:
        """The outcome, in a word or three."""
        return _WORDS[self.outcome]

    @property
    def brief(self) -> str:
        """All that fits into a few words."""
        more = f" ({format_duration(self.needed_s)} more)" if self.needed_s is not None else ""
        return f"{self.expression} {self.word}{more}"

    @property
    def why(self) -> str:
        """All there is to say beside the word."""
        is_broken_so_far = self.outcome == "undecided" and not self.is_kept
        return ("broken so far, " if is_broken_so_far else "") + self.reason


def slo_answers(
    measured: Mapping[str, bool], decisions: Mapping[str, SloDecision]
) -> list[SloAnswer]:
    """What a run says of each SLO that it `measured`."""
    return [_slo_answer(text, kept, decisions.get(text)) for text, kept in measured.items()]


def _slo_answer(expression: str, is_kept: bool, decision: SloDecision | None) -> SloAnswer:
    if decision is None:
        return SloAnswer(expression, "kept" if is_kept else "broken", is_kept)
    return SloAnswer(expression, decision.outcome, is_kept, decision.reason, decision.needed_s)


@dataclass(frozen=True, slots=True)
class YesOrNo:
    """An answer of which every reason says why it is no yes."""

    name: str
    is_yes: bool
    word: str
    reasons: Sequence[str]

    @property
    def line(self) -> str:
        """All there is to say, the name apart."""
        return self.word + (f": {'; '.join(self.reasons)}" if self.reasons else "")


def verdict_word(verdict: Verdict) -> Literal["VALID", "INVALID"]:
    """The measurement's verdict."""
    return "VALID" if verdict.valid else "INVALID"


def other_answers(verdict: Verdict, mlperf: MlperfAnswer | None) -> list[YesOrNo]:
    """The answers on what is no SLO: on the measurement, and MLPerf's where somebody asked."""
    told = [YesOrNo("verdict", verdict.valid, verdict_word(verdict), verdict.reasons)]
    return told if mlperf is None else [*told, mlperf_answer(mlperf)]


def mlperf_answer(answer: MlperfAnswer) -> YesOrNo:
    """MLPerf's answer."""
    word = "official" if answer.official else "not official"
    return YesOrNo("MLPerf", answer.official, word, answer.reasons)


def is_doubtful(
    verdict: Verdict, decisions: Mapping[str, SloDecision], mlperf: MlperfAnswer | None
) -> bool:
    """Whether a run leaves open what was asked of it, which is a failure where one is strict."""
    return (
        not verdict.valid
        or any(decision.outcome == "undecided" for decision in decisions.values())
        or (mlperf is not None and not mlperf.official)
    )
