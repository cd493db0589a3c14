"""System calls that Python's library does not have: fallocate(2) with modes, cachestat(2), mincore(2).  The only user of ctypes."""

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
_mmap = _libc.mmap64 if hasattr(_libc, "mmap64") else _libc.mmap
_mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64)
_mmap.restype = ctypes.c_void_p
_munmap = _libc.munmap
_munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_mincore = ctypes.PyDLL(None).mincore
_mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
_NO_ACCESS = 0
_MAP_FAILED = ctypes.c_void_p(-1).value


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Change how a range of a file is allocated: ``PUNCH_HOLE`` or ``ZERO_RANGE``.

    :raises OSError: as fallocate(2); EOPNOTSUPP where the file system or device can't.
    """
    while _fallocate(fd, mode, offset, length):
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


def has_cachestat() -> bool:
    """Whether the kernel has it (Linux 6.5)."""
    call = _libc.syscall
    call(ctypes.c_long(_CACHESTAT), -1, None, None, 0)
    return ctypes.get_errno() == errno.EBADF


class PageCache:
    """What of one open file is in memory; for use by one thread at a time.

    :param cachestat: whether the kernel has that; if not, mincore(2) has to tell.
    """

    def __init__(self, fd: int, cachestat: bool = has_cachestat()) -> None:
        self._fd = fd
        self._range = ctypes.create_string_buffer(_RANGE.size)
        self._found = ctypes.create_string_buffer(_PAGES.size)
        self._addresses = ctypes.addressof(self._range), ctypes.addressof(self._found)
        self._window = None if cachestat else Window(fd)

    def holds(self, offset: int, length: int) -> bool:
        """Whether every page of a range is in memory; False also where the kernel can't tell."""
        if self._window is not None:
            return self._window.holds(offset, length)
        asked, found = self._addresses
        _RANGE.pack_into(self._range, 0, offset, length)
        if _syscall(_CACHESTAT, self._fd, asked, found, 0):
            return False
        pages: int = _PAGES.unpack(self._found)[0]
        return pages == (offset + length - 1) // mmap.PAGESIZE - offset // mmap.PAGESIZE + 1

    def close(self) -> None:
        """Have nothing of the file in use any more, before it is closed; idempotent."""
        if self._window is not None:
            self._window.close()


class Window:
    """A part of a file at some addresses, where nobody may read it: mincore(2) asks about addresses.

    It is as long as what may be asked for at a time: addresses are not endless where there are thousands of large files.
    """

    BYTES = 1 << 30

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._start = 0
        self._address: int | None = None
        self._is_told: bool | None = None
        """None: it was not tried yet."""
        self._pages = ctypes.create_string_buffer(256)

    def holds(self, offset: int, length: int) -> bool:
        """Whether every page of a range is in memory."""
        if not 0 < length <= self.BYTES:
            return False
        start = offset - offset % self.BYTES
        if (start != self._start or self._address is None) and not self._move(start):
            return False
        assert self._address is not None
        first = offset - offset % mmap.PAGESIZE
        count = (offset + length - first + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        return self._count(self._address + first - start, count) == count

    def _move(self, start: int) -> bool:
        """Show the part that begins there, and as much behind it; False: it can't be told what of it is in memory."""
        self.close()
        if self._is_told is None:
            self._is_told = self._tries()
        if not self._is_told:
            return False
        self._start, self._address = start, self._map(start, 2 * self.BYTES)
        return self._address is not None

    def _tries(self) -> bool:
        """Of somebody else's file the kernel says that all of it is in memory, what is behind its end too."""
        end = os.lseek(self._fd, 0, os.SEEK_END)
        address = self._map(end + -end % mmap.PAGESIZE, mmap.PAGESIZE)
        if address is None:
            return False
        found = self._count(address, 1)
        _munmap(address, mmap.PAGESIZE)
        return found == 0

    def _map(self, offset: int, length: int) -> int | None:
        address: int | None = _mmap(None, length, _NO_ACCESS, mmap.MAP_SHARED, self._fd, offset)
        return None if address == _MAP_FAILED else address

    def _count(self, address: int, pages: int) -> int | None:
        """How many of so many pages are in memory; None: unknown."""
        if len(self._pages) < pages:
            self._pages = ctypes.create_string_buffer(pages)
        if _mincore(address, pages * mmap.PAGESIZE, ctypes.addressof(self._pages)):
            return None
        return self._pages.raw.count(1, 0, pages)

    def close(self) -> None:
        """Idempotent."""
        address, self._address = self._address, None
        if address is not None:
            _munmap(address, 2 * self.BYTES)
