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
print(slices.shorten_time_slice(5_000_000))
tell()
slices.shorten_time_slice()
tell()
threading.Thread(target=tell).start()
"""


def test_a_process_takes_short_slices_and_its_threads_with_it() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    # What started this process may have a slice of its own, which it inherits.
    taken, before, *after = finished.stdout.split()
    if taken == "False" or before == "untold":
        pytest.skip("the kernel has one slice for all (before Linux 6.12), or does not tell")
    assert [int(slice_ns) for slice_ns in (before, *after)] == [5_000_000, SLICE_NS, SLICE_NS]
