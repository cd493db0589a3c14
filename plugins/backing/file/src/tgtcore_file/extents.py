"""Data and holes of a file."""

import errno
import os

from tgtcore import Extent

_EXTENTS_MAX = 1024
"""In one answer; the caller asks again from where it ends."""


def allocated_extents(fd: int, offset: int, length: int) -> list[Extent]:
    """The extents of a range, in order, each within it; a long list ends early.  Space that was reserved but never written counts
    as not allocated: it reads as zeroes."""
    found: list[Extent] = []
    end = offset + length
    while offset < end and len(found) < _EXTENTS_MAX:
        data = min(_seek(fd, offset, os.SEEK_DATA, end), end)
        if data > offset:
            found.append(Extent(offset, data - offset, False))
        if data < end:
            hole = min(_seek(fd, data, os.SEEK_HOLE, end), end)
            found.append(Extent(data, hole - data, True))
            data = hole
        offset = data
    return found


def _seek(fd: int, offset: int, whence: int, end: int) -> int:
    try:
        return os.lseek(fd, offset, whence)
    except OSError as error:
        if error.errno != errno.ENXIO:  # nothing of that kind up to the end of the file
            raise
        return end
