"""Time slices, as the kernel tells of them."""

import subprocess
import sys

import pytest

from tailrace.service.slices import SLICE_NS

PROGRAM = """
import re, threading
from pathlib import Path
from tailrace.service import slices
def tell():
    found = re.search(r"^se\\.slice *: *(\\d+)", Path("/proc/thread-self/sched").read_text(), re.M)
    print(found[1] if found else "untold")
tell()
print(slices.shorten_time_slice())
tell()
threading.Thread(target=tell).start()
"""


def test_a_process_takes_short_slices_and_its_threads_with_it() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    before, taken, *after = finished.stdout.split()
    if taken == "False" or before == "untold":
        pytest.skip("the kernel has one slice for all (before Linux 6.12), or does not tell")
    assert int(before) > SLICE_NS
    assert [int(slice_ns) for slice_ns in after] == [SLICE_NS] * 2
