"""System calls that Python's library does not have: fallocate(2) with modes and cachestat(2).  The only user of ctypes."""

import ctypes
import errno
import mmap
import os
import struct

PUNCH_HOLE = 0x02 | 0x01
"""Deallocate a range, which then reads as zeroes; the size stays (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)."""

ZERO_RANGE = 0x10 | 0x01
"""Zero a range and keep it allocated; the size stays (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)."""

_CACHESTAT = 451
"""The same number on every architecture but Alpha; Linux 6.5 and later."""

_RANGE = struct.Struct("@QQ")
_PAGES = struct.Struct("@Q32x")
_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = _libc.fallocate64 if hasattr(_libc, "fallocate64") else _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
# cachestat never waits: giving up the interpreter's lock around it would cost more than the call itself
_syscall = ctypes.PyDLL(None).syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)
_syscall.restype = ctypes.c_long


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Change how a range of a file is allocated: ``PUNCH_HOLE`` or ``ZERO_RANGE``.

    :raises OSError: as fallocate(2); EOPNOTSUPP where the file system or device can't.
    """
    while _fallocate(fd, mode, offset, length):
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


class PageCache:
    """What of one open file is in memory; for use by one thread at a time."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._range = ctypes.create_string_buffer(_RANGE.size)
        self._found = ctypes.create_string_buffer(_PAGES.size)
        self._addresses = ctypes.addressof(self._range), ctypes.addressof(self._found)

    def holds(self, offset: int, length: int) -> bool:
        """Whether every page of a range is in memory; False also where the kernel can't tell."""
        asked, found = self._addresses
        _RANGE.pack_into(self._range, 0, offset, length)
        if _syscall(_CACHESTAT, self._fd, asked, found, 0):
            return False
        pages: int = _PAGES.unpack(self._found)[0]
        return pages == (offset + length - 1) // mmap.PAGESIZE - offset // mmap.PAGESIZE + 1
