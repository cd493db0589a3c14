"""A piece of a file as the answer to a read."""

import errno
import logging
import os

_log = logging.getLogger(__name__)


class OpenFile:
    """Owns a file descriptor, which is closed when nobody refers to this object any more.

    :param fd: opened for reading; nobody else closes it.
    """

    __slots__ = ("__weakref__", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


class Region:
    """A range of an open file whose bytes are the answer; it lets a transport send them without a copy.

    It may be sent long after its command has ended, and its store with it: the file stays open for as long as the region is there.
    """

    __slots__ = ("file", "length", "offset")

    def __init__(self, file: OpenFile, offset: int, length: int) -> None:
        self.file = file
        self.offset = offset
        self.length = length

    def __len__(self) -> int:
        return self.length

    @property
    def fd(self) -> int:
        """The file's descriptor, open for as long as this region is there."""
        return self.file.fd

    def part(self, offset: int, length: int) -> "Region":
        """A range of this region; ``offset`` counts from its beginning."""
        return Region(self.file, self.offset + offset, length)

    def read_into(self, memory: memoryview) -> bool:
        """Fill memory with the beginning of the region, for a transport that can't send it from the file.

        :returns: False: it can't be read, or its file has become shorter; memory may hold a part of it.
        """
        done = 0
        while done < len(memory):
            try:
                count = _read_some(self.file.fd, memory[done:] if done else memory, self.offset + done)
            except OSError as error:
                _log.error("a read that was accepted has failed: %s", error)
                return False
            if not count:
                return False
            done += count
        return True


def _read_some(fd: int, memory: memoryview, offset: int) -> int:
    """Read what there is without waiting, or wait if that is nothing.

    :raises OSError: it can't be read.
    """
    try:
        return os.preadv(fd, [memory], offset, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EOPNOTSUPP):
            raise
        return os.preadv(fd, [memory], offset)
