"""A piece of a file as the answer to a read."""

import os


class OpenFile:
    """Owns a file descriptor, which is closed when nobody refers to this object any more.

    :param fd: opened for reading; nobody else closes it.
    """

    __slots__ = ("fd",)

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
