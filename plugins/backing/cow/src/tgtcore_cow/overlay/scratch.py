"""A file without a name, in memory or in a folder: it is gone when nobody has it open any more, however that comes."""

import errno
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tgtcore import Buffer, OpenFile, Region, StoreError, file_space
from tgtcore_cow.files.syscalls import punch_hole, punches_holes

_INLINE_WRITE_BYTES_MAX = 256 * 1024
_REGION_BYTES_MIN = 32 * 1024
"""A shorter answer is cheaper copied than sent from the file."""


class Scratch:
    """A sparse file; what is in memory counts as memory of this process.

    :param folder: where its file system takes the space; None: in memory.
    :raises StoreError: there can be no such file.
    """

    def __init__(self, size_bytes: int, folder: Path | None) -> None:
        self._in_memory = folder is None
        where = "memory" if folder is None else str(folder)
        try:
            self._file = OpenFile(os.memfd_create("overlay", os.MFD_CLOEXEC) if folder is None else _made(folder))
            os.ftruncate(self._file.fd, size_bytes)
        except OSError as error:
            raise StoreError(
                f"a temporary file of {size_bytes} bytes can't be made in {where}: {error.strerror or error}"
            ) from error
        self._nowait_flags = 0 if self._in_memory else os.RWF_NOWAIT
        if not punches_holes(self._file.fd):
            raise StoreError(
                f"{where} is on a file system that can't give space back; expected one that can, such as ext4 or tmpfs"
            )
        os.ftruncate(self._file.fd, size_bytes)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes that are there."""
        data = os.pread(self._file.fd, length, offset)
        while len(data) < length:
            more = os.pread(self._file.fd, length - len(data), offset + len(data))
            if not more:
                raise OSError(errno.EIO, f"the temporary file ends at byte {offset + len(data)}")
            data += more
        return data

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """The same if they are in memory, else None."""
        data = bytearray(length)
        try:
            return data if os.preadv(self._file.fd, (data,), offset, self._nowait_flags) == length else None
        except OSError:
            return None

    def write(self, offset: int, parts: Sequence[Buffer]) -> None:
        """Write parts one behind the other."""
        rest = [part for part in parts if len(part)]
        while rest:
            count = os.pwritev(self._file.fd, rest, offset)
            offset += count
            while rest and count >= len(rest[0]):
                count -= len(rest.pop(0))
            if count:
                rest[0] = memoryview(rest[0])[count:]

    def writes_nowait(self, length: int) -> bool:
        """Whether so many bytes are written without waiting."""
        return self._in_memory and length <= _INLINE_WRITE_BYTES_MAX

    def resize(self, size_bytes: int) -> None:
        """Be longer, with zeroes, or shorter."""
        os.ftruncate(self._file.fd, size_bytes)

    def region(self, offset: int, length: int) -> Region | None:
        """A long range that is in memory."""
        if self._in_memory and length >= _REGION_BYTES_MIN:
            return Region(self._file, offset, length)
        return None

    def free_bytes(self) -> int | None:
        """What the folder's file system has left; None: it is in memory."""
        return None if self._in_memory else file_space(self._file.fd).available_bytes

    def free(self, offset: int, length: int) -> None:
        """Give the space of a range back; it reads as zeroes then."""
        punch_hole(self._file.fd, offset, length)

    def reserve(self, offset: int, length: int) -> None:
        """Take space for a range, which reads as zeroes then."""
        self.free(offset, length)
        os.posix_fallocate(self._file.fd, offset, length)


def _made(folder: Path) -> int:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        return os.dup(file.fileno())
