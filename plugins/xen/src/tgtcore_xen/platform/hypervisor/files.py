"""Files as the kernel has them in memory: mapped, so that a call can be told the address of a piece.

Only calls of the kernel read there.  Where a file has become shorter, or can't be read, they fail; a program that reads there
itself is killed.
"""

import ctypes
import mmap
import os
from weakref import WeakKeyDictionary

from tgtcore import OpenFile, Region
from tgtcore_xen.platform.contract import Shown

PART_BYTES = 64 << 20
"""So much of a file is mapped at a time, and as much behind it, so that no piece which begins in it goes on behind it."""

IN_A_ROW = 8
"""So many pieces in a row begin in a part before it is mapped: in a long file that is read here and there, to map what is read once
takes longer than to copy it."""

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
    """The part of a file that its last piece has begun in."""

    __slots__ = ("asked", "mapped", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.asked = 0
        self.mapped: Mapped | None = None


class Files:
    """Parts of files that are open, one of each at most."""

    def __init__(self) -> None:
        self._parts: WeakKeyDictionary[OpenFile, _Part] = WeakKeyDictionary()

    def find(self, region: Region) -> Shown | None:
        """A piece of a file where it is mapped; None: it is not worth the trouble, or not possible."""
        offset = region.offset
        if region.length > PART_BYTES:
            return None
        part = self._parts.get(region.file)
        if part is None or not 0 <= offset - part.start < PART_BYTES:
            part = self._begin(region.file, offset - offset % PART_BYTES)
        mapped = part.mapped
        if mapped is None:
            part.asked += 1
            if part.asked != IN_A_ROW:
                return None
            try:
                mapped = part.mapped = Mapped(region.fd, part.start)
            except OSError:
                return None
        return Shown(region, mapped.address + offset - part.start, mapped)

    def _begin(self, file: OpenFile, start: int) -> _Part:
        if file not in self._parts and len(self._parts) >= FILES_MAX:
            del self._parts[next(self._parts.keys())]
        part = self._parts[file] = _Part(start)
        return part
