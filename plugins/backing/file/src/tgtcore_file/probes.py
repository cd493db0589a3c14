"""What the file system under an open file can do, found out by trying; content and size stay."""

import os

from tgtcore_file.syscalls import PUNCH_HOLE, ZERO_RANGE, fallocate

_PROBE_BYTES = 65536
_BEYOND_END_ALIGNMENT = 1024 * 1024


def reads_without_waiting(fd: int) -> bool:
    """Whether reads may ask not to wait (RWF_NOWAIT)."""
    try:
        os.preadv(fd, (bytearray(1),), 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def punches_holes(fd: int, size_bytes: int) -> bool:
    """Whether space can be given back."""
    return _does(fd, PUNCH_HOLE, size_bytes)


def can_zero_range(fd: int, size_bytes: int) -> bool:
    """Whether ranges can be zeroed without writing them."""
    if not _does(fd, ZERO_RANGE, size_bytes):
        return False
    os.ftruncate(fd, size_bytes)  # gives back what the probe reserved beyond the end
    return True


def _does(fd: int, mode: int, size_bytes: int) -> bool:
    beyond_end = -(-size_bytes // _BEYOND_END_ALIGNMENT) * _BEYOND_END_ALIGNMENT
    try:
        fallocate(fd, mode, beyond_end, _PROBE_BYTES)
    except OSError:
        return False
    return True
