"""What /proc says of a process."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tailrace.service import usage

PR_SET_NAME = 15


def test_own_process() -> None:
    before = usage.read(os.getpid())
    assert before is not None
    began_s = time.process_time()
    while time.process_time() < began_s + 0.2:
        pass
    after = usage.read(os.getpid())
    assert after is not None
    # The kernel may count in ticks of 10 ms.
    assert after.cpu_s - before.cpu_s >= 0.15
    assert abs(after.cpu_s - time.process_time()) <= 0.1
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    assert 0.8 < after.resident_bytes / (int(found[1]) * 1024) < 1.25


def test_threads_are_counted_in() -> None:
    # numpy's and OpenCV's threads are not seen by the thread that asks, but by the process.
    program = (
        "import threading, time\n"
        "def burn():\n"
        "    while time.thread_time() < 0.2: pass\n"
        "thread = threading.Thread(target=burn); thread.start(); thread.join()\n"
        "print(); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        used = usage.read(child.pid)
        child.stdin.close()
    assert used is not None
    assert used.cpu_s >= 0.15


def test_name_may_hold_anything() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    old = Path("/proc/self/comm").read_bytes().strip()
    assert libc.prctl(PR_SET_NAME, b"a) R 1 (b \xff", 0, 0, 0) == 0
    try:
        used = usage.read(os.getpid())
    finally:
        libc.prctl(PR_SET_NAME, old, 0, 0, 0)
    assert used is not None
    assert used.resident_bytes > 2**20


def test_no_such_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(60)
    assert usage.read(child.pid) is None
    assert usage.read(0) is None
