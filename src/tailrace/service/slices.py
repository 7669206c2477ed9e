"""Short time slices for this process, so that its busy inference threads are interrupted sooner.

Linux's fair scheduler (EEVDF) lets a thread that runs finish its slice, 3 ms by default, before one
that wakes may have its core. On a machine with few cores that is what an event loop, or a load
generator beside the service, then waits for an inference. Since Linux 6.12 a thread may ask for a
slice of its own (sched_setattr(2), sched_runtime); no privilege is needed, and its share of the
processor stays what it was.
"""

import ctypes
import platform
from typing import ClassVar

SLICE_NS = 100_000
"""The shortest slice the kernel takes."""

_CALLS = {"x86_64": (315, 314), "aarch64": (275, 274)}
"""Numbers of the system calls sched_getattr and sched_setattr, which libc may not wrap."""


class _SchedAttr(ctypes.Structure):
    _fields_: ClassVar = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    ]


def shorten_time_slice(slice_ns: int = SLICE_NS) -> bool:
    """Ask for slices of `slice_ns` for the calling thread and all that it starts from now on.

    Returns whether the kernel has them; where it does not, nothing changes.
    """
    if platform.machine() not in _CALLS:
        return False
    get_attr, set_attr = _CALLS[platform.machine()]
    libc = ctypes.CDLL(None, use_errno=True)
    attr = _SchedAttr()
    size = ctypes.sizeof(attr)
    if libc.syscall(get_attr, 0, ctypes.byref(attr), size, 0) != 0:
        return False
    attr.size, attr.runtime_ns = size, slice_ns
    if libc.syscall(set_attr, 0, ctypes.byref(attr), 0) != 0:
        return False
    # Older kernels take the call and forget the slice.
    libc.syscall(get_attr, 0, ctypes.byref(attr), size, 0)
    return bool(attr.runtime_ns == slice_ns)
