"""A wake-up at an absolute instant of CLOCK_MONOTONIC, good to tens of microseconds.

The event loop's own timers tick in milliseconds (libuv's do), so pacing has a timerfd that the
loop watches like any other descriptor.
"""

import contextlib
import ctypes
import os
import sys
import time
from typing import ClassVar

_TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_: ClassVar = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_: ClassVar = [("interval", _Timespec), ("value", _Timespec)]


class TimerFd:
    """One timerfd(2), absolute and non-blocking; `fd` turns readable when the instant comes."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        # os.timerfd_create is there from Python 3.13 on; the flags are those of O_*.
        self.fd: int = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), f"timerfd_create failed on {sys.platform}")
        self._spec = _Itimerspec()
        self._spec_ref = ctypes.byref(self._spec)
        self._settime = self._libc.timerfd_settime

    def arm(self, at_ns: int) -> None:
        """Fire at `at_ns` of CLOCK_MONOTONIC; at once if that has passed."""
        value = self._spec.value
        # An all-zero value would disarm the timer.
        value.sec, value.nsec = divmod(max(at_ns, 1), 1_000_000_000)
        self._settime(self.fd, _TFD_TIMER_ABSTIME, self._spec_ref, None)

    def disarm(self) -> None:
        """Do not fire until armed again."""
        self._spec.value.sec = self._spec.value.nsec = 0
        self._settime(self.fd, _TFD_TIMER_ABSTIME, self._spec_ref, None)

    def acknowledge(self) -> None:
        """Make `fd` unreadable again after it has fired."""
        # It may have been armed anew between firing and this call.
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.fd)
