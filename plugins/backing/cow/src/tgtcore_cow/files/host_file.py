"""A file or a block device as a store."""

import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from tgtcore import Buffer, Concurrency, Extent, Features, FileLock, Store, make_file, name_file, open_file, unmake_file
from tgtcore_cow.files.syscalls import punch_hole, punches_holes

_EXTENTS_MAX = 1024
"""In one answer; the caller asks again from where it ends."""

_ADVICE = {errno.EROFS: "open it for reading only"}

_CLOSED = (1 << 31) - 1
"""No descriptor has this number."""


class HostFile(Store):
    """A file that can grow, or a block device, locked against other programs as QEMU does it.

    :param read_only: share it with others who read; else have it alone.
    :param raw: it is a raw image: while it is written nobody else has it, not even to read it at his own risk, as QEMU does.
    :param create: make it, new and empty.
    :param admit: is told where the file really is and what it is before it is opened, and raises to refuse it.
    :raises StoreError: it can't be opened, made or locked, or it is neither a file nor a block device.
    """

    __slots__ = (
        "_fd",
        "_features",
        "_flushing",
        "_lost",
        "_made",
        "_reads_nowait",
        "path",
        "size_bytes",
    )

    path: Path

    concurrency = Concurrency.PARALLEL
    persistent = True

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        raw: bool = False,
        create: bool = False,
        admit: Callable[[Path, os.stat_result], None] | None = None,
    ) -> None:
        self.path = path
        self._made = create
        kind = FileLock.READER if read_only else FileLock.ALONE if raw else FileLock.WRITER
        self._fd = make_file(path, kind) if create else open_file(path, kind, advice=_ADVICE, admit=admit)
        try:
            self.size_bytes = os.lseek(self._fd, 0, os.SEEK_END)
            self._features = self._found_features(read_only=read_only)
        except BaseException:
            self.unmake()
            self.close()
            raise
        self._flushing = threading.Lock()
        self._lost: str | None = None
        self._reads_nowait = True

    def _found_features(self, *, read_only: bool) -> Features:
        is_file = stat.S_ISREG(os.fstat(self._fd).st_mode)
        found = Features.EXTENTS if is_file else Features.NONE
        if read_only:
            return found
        if is_file:
            found |= Features.RESIZE
            if punches_holes(self._fd):
                found |= Features.UNMAP
        return found | Features.WRITE

    def features(self) -> Features:
        """A file has extents, grows and shrinks, and gives space back where its file system can; a device does none of it."""
        return self._features

    def read(self, offset: int, length: int) -> Buffer:
        """As in the contract.

        :raises OSError: EIO when the file has become shorter since it was opened.
        """
        data = bytearray(length)
        rest = memoryview(data)
        while rest:
            count = os.preadv(self._fd, (rest,), offset)
            if not count:
                raise OSError(
                    errno.EIO,
                    f"{self.path} ends at byte {offset}, expected {len(rest)} more bytes: it was made shorter while in use",
                )
            rest = rest[count:]
            offset += count
        return data

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """Bytes that are in memory; anything else, errors too, is for ``read``."""
        if self._reads_nowait:
            data = bytearray(length)
            try:
                if os.preadv(self._fd, (data,), offset, os.RWF_NOWAIT) == length:
                    return data
            except OSError as error:
                self._reads_nowait = error.errno != errno.EOPNOTSUPP
        return None

    def write(self, offset: int, data: Buffer) -> None:
        """Into the page cache."""
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self._fd, rest, offset)
            if not count:
                raise OSError(errno.EIO, f"{self.path} took nothing of {len(rest)} bytes at offset {offset}")
            rest = rest[count:]
            offset += count

    def flush(self) -> None:
        """As in the contract; after one failure every later flush fails, until the file is opened again.

        The kernel forgets what it could not write and reports it once: a later call would succeed although data is gone.
        """
        with self._flushing:
            if self._lost:
                raise OSError(
                    errno.EIO,
                    f"{self.path}: an earlier flush failed ({self._lost}) and writes may be lost; check it and open it again",
                )
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                # a file system that is read-only in itself has no such call, and no writes either
                if error.errno != errno.EINVAL or Features.WRITE in self._features:
                    self._lost = error.strerror or str(error)
                    raise

    def unmap(self, offset: int, length: int) -> None:
        """Punch a hole."""
        punch_hole(self._fd, offset, length)

    def extents(self, offset: int, length: int) -> list[Extent]:
        """Data and holes, as the file system tells them."""
        found: list[Extent] = []
        end = offset + length
        while offset < end and len(found) < _EXTENTS_MAX:
            data = self._next(offset, os.SEEK_DATA, end)
            if data > offset:
                found.append(Extent(offset, data - offset, False))
            if data < end:
                hole = self._next(data, os.SEEK_HOLE, end)
                found.append(Extent(data, hole - data, True))
                data = hole
            offset = data
        return found

    def _next(self, offset: int, whence: int, end: int) -> int:
        try:
            return min(os.lseek(self._fd, offset, whence), end)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nothing of that kind up to the end of the file
                raise
            return end

    def resize(self, size_bytes: int) -> None:
        """As in the contract; a block device stays as it is.

        :raises OSError: EINVAL for a block device; ENOSPC or EFBIG: the file system can't.
        """
        os.ftruncate(self._fd, size_bytes)
        self.size_bytes = size_bytes

    def give_name(self, name: Path) -> None:
        """Give a file that was made its final name, in the same folder, durably; it stays from then on.

        :raises StoreError: it can't have that name, or there is such a file already.
        """
        name_file(self.path, name)
        self.path = name
        self._made = False

    def unmake(self) -> None:
        """Remove the file if it was made by this."""
        if self._made:
            unmake_file(self._fd, self.path)

    def close(self) -> None:
        """Close the file, which unlocks it.  What comes later fails, and never reaches a file that has got its descriptor."""
        fd, self._fd = self._fd, _CLOSED
        os.close(fd)
