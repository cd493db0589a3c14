"""How the C library keeps the memory that a process has freed."""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MMAP_BYTES = 32 * 1024 * 1024
"""The largest that the library takes, and comes to by itself in time."""


def keep_freed() -> None:
    """Keep freed memory for the next command; a C library that can't be told (other than glibc) does as it likes.

    By itself glibc gives the buffers of a burst of large commands back to the kernel, or not, as chance has arranged what lies
    behind them, and has each page filled with zeroes again for the next burst: that took a third of the time of such commands.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _MMAP_BYTES)
