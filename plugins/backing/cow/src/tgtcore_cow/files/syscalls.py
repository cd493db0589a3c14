"""fallocate(2) with a mode, which Python's library does not have."""

import ctypes
import errno
import os

_PUNCH_HOLE = 0x02 | 0x01
"""FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE."""

_PROBE_BYTES = 1 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = _libc.fallocate64 if hasattr(_libc, "fallocate64") else _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Give the space of a range back; it reads as zeroes then, and the size stays.

    :raises OSError: as fallocate(2); EOPNOTSUPP where the file system can't.
    """
    while _fallocate(fd, _PUNCH_HOLE, offset, length):
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


def punches_holes(fd: int) -> bool:
    """Whether the file system can give space back; found out where the file has none."""
    try:
        end = os.lseek(fd, 0, os.SEEK_END)
        punch_hole(fd, -(-end // _PROBE_BYTES) * _PROBE_BYTES, _PROBE_BYTES)
    except OSError:
        return False
    return True
