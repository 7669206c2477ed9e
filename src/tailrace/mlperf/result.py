"""What a test has come to: its outcome, LoadGen's verdict with ours, and the accuracy."""

from __future__ import annotations

import msgspec

from tailrace.download.part import unwritable, write_whole
from tailrace.mlperf import accuracy, logs
from tailrace.mlperf.accuracy import Score, accuracy_text
from tailrace.mlperf.check import TestCheck, check_test
from tailrace.mlperf.outcome import Outcome
from tailrace.mlperf.run import Test

ACCURACY_FILE = "accuracy.txt"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All there is to say of a test."""

    valid: bool
    """VALID, and as accurate as MLPerf demands where it does."""
    check: TestCheck
    accuracy: Score | None
    outcome: Outcome


def conclude(test: Test, outcome: Outcome) -> Result:
    """Scores the answers of an accuracy test that has finished, beside whose logs `accuracy.txt` is
    written; and judges.

    Raises:
        TailraceError: the answers cannot be scored, or a file cannot be written.
    """
    score = None
    if outcome.mode == "accuracy" and outcome.ended == "finished":
        log = test.folder / logs.ACCURACY
        score = accuracy.score(test.spec, test.data, log)
        file = test.folder / ACCURACY_FILE
        try:
            write_whole(file, f"{accuracy_text(score)}\n".encode())
        except OSError as error:
            raise unwritable(file, error) from error
    check = check_test(test.folder)
    return Result(valid=check.valid, check=check, accuracy=score, outcome=outcome)
