"""Memory of an emulated guest, and pages of it in the back end's address space."""

import ctypes
import errno
import mmap
import os

from tgtcore_xen.platform.contract import PAGE_BYTES

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_MAP_FIXED = 0x10


class GuestMemory:
    """Pages of zeros, of which one part after the other is used.

    :param pages: so many there are.
    """

    def __init__(self, pages: int) -> None:
        self._fd = os.memfd_create("tgtcore-xen-guest", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._fd, pages * PAGE_BYTES)
            self.view = memoryview(mmap.mmap(self._fd, pages * PAGE_BYTES))
        except BaseException:
            os.close(self._fd)
            raise
        self._free = list(range(pages - 1, -1, -1))

    def take(self) -> int:
        """Number of a page that nobody uses; what was in it still is.

        :raises OSError: ENOMEM: every page is used.
        """
        if not self._free:
            raise OSError(errno.ENOMEM, "the guest has no memory left")
        return self._free.pop()

    def give(self, page: int) -> None:
        """It is used no more."""
        self._free.append(page)

    def page(self, number: int) -> memoryview:
        """One page."""
        return self.view[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]

    def map(self, page: int) -> mmap.mmap:
        """The same page once more."""
        return mmap.mmap(self._fd, PAGE_BYTES, offset=page * PAGE_BYTES)

    def close(self) -> None:
        """No page can be mapped any more; idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def detach(page: mmap.mmap) -> None:
    """Put memory of nobody in the place of a mapped page: who writes there reaches the guest no more."""
    start = ctypes.c_char.from_buffer(page)
    address = ctypes.addressof(start)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
    found = _libc.mmap(address, PAGE_BYTES, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if found != address:
        raise OSError(ctypes.get_errno(), "a page can't be replaced")
