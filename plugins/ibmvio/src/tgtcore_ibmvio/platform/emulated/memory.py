"""The memory that the machine and a client partition share: a sealed memory file that both map."""

import fcntl
import mmap
import os
from struct import Struct

from tgtcore_ibmvio.platform.emulated.window import Window
from tgtcore_ibmvio.platform.emulated.wire import MAGIC, PAGE_BYTES, VERSION, Geometry

_HEADER = Struct("<8sI")


class SharedMemory:
    """The parts of a mapped file.  It stays mapped for as long as anything refers to a part of it.

    :param fd: the memory file; it is not needed any more afterwards.
    :raises OSError: it can't be mapped.
    """

    def __init__(self, fd: int, geometry: Geometry) -> None:
        self.geometry = geometry
        self.octets = mmap.mmap(fd, geometry.total_bytes)
        """All of it; slices are copies."""
        whole = memoryview(self.octets)
        self.words = whole.cast("Q")
        """All of it as words of 8 bytes, each of which is loaded and stored at once."""
        self.memory = whole[geometry.memory_offset :]
        """The partition's memory."""
        table = whole[geometry.table_offset : geometry.table_offset + geometry.window_bytes // PAGE_BYTES * 8]
        self.window = Window(geometry.window_start, table.cast("Q"), len(self.memory))


def create(geometry: Geometry) -> int:
    """A new memory file; its size is sealed, so that nobody can take pages away from under the other side.

    :raises OSError: there is not enough memory.
    """
    fd = os.memfd_create("tgtcore-partition", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, geometry.total_bytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        os.pwrite(fd, _HEADER.pack(MAGIC, VERSION), 0)
    except BaseException:
        os.close(fd)
        raise
    return fd
