"""The memory of a ring: a sealed memory file that both sides map."""

import fcntl
import mmap
import os

from tgtcore.errors import RingError
from tgtcore.ring.geometry import PAGE_BYTES, Geometry


class Memory:
    """The parts of a mapped ring.  It stays mapped for as long as anything refers to a part of it.

    :param fd: the memory file; it is not needed any more afterwards.
    """

    def __init__(self, fd: int, geometry: Geometry) -> None:
        self.geometry = geometry
        whole = memoryview(mmap.mmap(fd, geometry.total_bytes))
        self.requests = whole[geometry.request_offset : geometry.response_offset]
        self.responses = whole[geometry.response_offset : geometry.event_offset]
        self.events = whole[geometry.event_offset : geometry.data_offset]
        self.data = whole[geometry.data_offset : geometry.data_offset + geometry.data_bytes]


def create(geometry: Geometry, header: bytes) -> int:
    """A new memory file; its size is sealed, so that nobody can take pages away from under the other side.

    :raises OSError: there is not enough memory.
    """
    fd = os.memfd_create("tgtcore-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, geometry.total_bytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        os.pwrite(fd, header, 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_geometry(fd: int) -> Geometry:
    """What the header of a memory file says.

    :raises RingError: it is no ring that this code knows, or shorter than it says.
    """
    geometry = Geometry.read(os.pread(fd, PAGE_BYTES, 0).ljust(PAGE_BYTES, b"\0"))
    if os.fstat(fd).st_size < geometry.total_bytes:
        raise RingError("the ring's memory is shorter than its header says")
    return geometry
