import os
import subprocess
import sys

import pytest

PROGRAM = """
import threading
from tailrace.service import slices
taken = slices.shorten_time_slice()
again = []
thread = threading.Thread(target=lambda: again.append(slices.shorten_time_slice()))
thread.start()
thread.join()
print(taken, again[0], open("/proc/self/sched").read() if taken else "")
"""


def test_a_process_takes_short_slices_where_the_kernel_has_them() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    taken, in_thread, *_ = finished.stdout.split()
    if release < (6, 12):
        pytest.skip(f"Linux {release[0]}.{release[1]} has one slice for all: it came with 6.12")
    assert (taken, in_thread) == ("True", "True")
    assert "policy" in finished.stdout
