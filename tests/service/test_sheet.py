"""Counters that processes share."""

from __future__ import annotations

import subprocess
import sys

from tailrace.service.sheet import (
    ASIDE,
    BEGAN,
    BROKEN,
    HANGS,
    PID,
    READY,
    RESTARTS,
    RUNNING,
    WAITING,
    Sheet,
)

CHILD = """
import sys
from tailrace.service.sheet import READY, Sheet
sheet = Sheet(2, 3, int(sys.argv[1]))
for cell in range(3):
    sheet.counters(1)[cell] += 10 ** cell
sheet.head(1)[READY] = 1
sys.exit(int(sum(sheet.counters(0))))
"""


def test_rows_lie_apart_and_add_up() -> None:
    sheet = Sheet(3, 4)
    assert sheet.totals() == [0] * 4
    for worker in range(3):
        for cell in range(4):
            sheet.counters(worker)[cell] = 10**worker * (cell + 1)
        for cell in range(len(sheet.head(worker))):
            sheet.head(worker)[cell] = -1
    assert sheet.totals() == [111, 222, 333, 444]
    assert sheet.counters(1).tolist() == [10, 20, 30, 40]
    assert {len(sheet.head(worker)) for worker in range(3)} == {BROKEN + 1}


def test_cells_hold_a_century_of_nanoseconds() -> None:
    sheet = Sheet(1, 1)
    century_ns = 100 * 366 * 86400 * 10**9
    sheet.counters(0)[0] = century_ns
    assert sheet.totals() == [century_ns]


def test_another_process_writes_its_row_and_reads_all() -> None:
    sheet = Sheet(2, 3)
    sheet.counters(0)[1] = 42
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(sheet.file)], pass_fds=(sheet.file,), timeout=60
    )
    assert child.returncode == 42
    assert sheet.totals() == [1, 52, 100]
    assert sheet.head(1)[READY] == 1


def test_ready_is_all_of_them_until_it_stops() -> None:
    sheet = Sheet(2, 1)
    assert not sheet.all_ready
    sheet.head(0)[READY] = 1
    assert not sheet.all_ready
    sheet.head(1)[READY] = 1
    assert sheet.all_ready
    sheet.head(0)[ASIDE] = 1
    assert not sheet.all_ready
    sheet.head(0)[ASIDE] = 0
    assert sheet.all_ready
    sheet.stop()
    assert not sheet.all_ready


def test_death_takes_what_was_at_hand_and_leaves_what_was_counted() -> None:
    sheet = Sheet(2, 1)
    for worker in range(2):
        for cell in (PID, READY, WAITING, RUNNING, BEGAN, ASIDE, HANGS):
            sheet.head(worker)[cell] = 7
        sheet.counters(worker)[0] = 5
    sheet.note_death(0)
    sheet.note_death(0)
    head = sheet.head(0)
    assert not any(head[cell] for cell in (PID, READY, WAITING, RUNNING, BEGAN, ASIDE))
    assert [head[RESTARTS], head[HANGS]] == [2, 7]
    assert sheet.head(1)[RESTARTS] == 0
    assert sheet.totals() == [10]
    assert not sheet.all_ready
