"""Files as the kernel has them in memory: mapped, so that a call can be told the address of a piece.

Only calls of the kernel read there.  Where a file has become shorter, or can't be read, they fail; a program that reads there
itself is killed.
"""

import ctypes
import mmap
import os
from contextlib import suppress
from weakref import WeakKeyDictionary

from tgtcore import OpenFile, Region
from tgtcore_xen.platform.contract import Shown

PART_BYTES = 256 << 20
"""So much of a file is looked at, and mapped, at a time, and as much behind it: what begins in it may go on there."""

TIMES, BYTES_MIN = 2, 16 << 20
"""What was read so often, and is so much together, is going to be read again: it is mapped.  To copy what is read
once takes less time than that."""

FILES_MAX = 32
"""What is mapped counts as memory of this process, although the kernel can have it back at any time."""

_libc = ctypes.CDLL(None, use_errno=True)
_mmap = _libc.mmap64 if hasattr(_libc, "mmap64") else _libc.mmap
_mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64)
_mmap.restype = ctypes.c_void_p
_munmap = _libc.munmap
_munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value


class Mapped:
    """A part of a file at an address, until nobody refers to this object any more.

    :raises OSError: it can't be mapped.
    """

    __slots__ = ("address",)

    def __init__(self, fd: int, start: int) -> None:
        self.address: int = _FAILED or 0
        address = _mmap(None, 2 * PART_BYTES, mmap.PROT_READ, mmap.MAP_SHARED, fd, start)
        if address == _FAILED:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self.address = address

    def __del__(self) -> None:
        if self.address != _FAILED:
            _munmap(self.address, 2 * PART_BYTES)


class _Part:
    """The part of a file that its last piece has begun in.

    :param start: where it begins in the file.
    """

    __slots__ = ("_asked_bytes", "_end", "_first", "mapped", "shown", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.mapped: Mapped | None = None
        self.shown = range(0)
        """Which bytes of the file have been read before."""
        self._first, self._end = start + PART_BYTES, start
        self._asked_bytes = 0

    def ask(self, fd: int, offset: int, end: int) -> None:
        """Learn that a piece was wanted that is not shown."""
        self._first = first = min(self._first, offset)
        self._end = last = max(self._end, end)
        self._asked_bytes += end - offset
        if self._asked_bytes >= max(TIMES * (last - first), BYTES_MIN):
            self._asked_bytes = 0
            with suppress(OSError):
                self.mapped = self.mapped or Mapped(fd, self.start)
                self.shown = range(first, last)


class Files:
    """Parts of files that are open, one of each at most."""

    def __init__(self) -> None:
        self._parts: WeakKeyDictionary[OpenFile, _Part] = WeakKeyDictionary()

    def find(self, region: Region) -> Shown | None:
        """A piece of a file where it is mapped; None: that is not worth the trouble so far, or not possible."""
        offset, length, file = region.offset, region.length, region.file
        part = self._parts.get(file)
        if part is None or not 0 <= offset - part.start < PART_BYTES:
            part = self._begin(file, offset - offset % PART_BYTES)
        shown, mapped = part.shown, part.mapped
        if mapped is not None and shown.start <= offset and offset + length <= shown.stop:
            return Shown(region, mapped.address + offset - part.start, mapped)
        if length <= PART_BYTES:
            part.ask(file.fd, offset, offset + length)
        return None

    def forget(self, file: OpenFile) -> None:
        """Have a file not mapped until it was read often again: what is shown of it can't be copied."""
        self._parts.pop(file, None)

    def close(self) -> None:
        """Have no file mapped, but for pieces that are in use."""
        self._parts.clear()

    def _begin(self, file: OpenFile, start: int) -> _Part:
        if file not in self._parts and len(self._parts) >= FILES_MAX:
            del self._parts[next(self._parts.keys())]
        part = self._parts[file] = _Part(start)
        return part
