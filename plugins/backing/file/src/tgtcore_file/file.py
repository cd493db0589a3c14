"""The store ``file``: an image file or a block device, through the page cache."""

import errno
import os
import stat
from pathlib import Path
from time import monotonic

from tgtcore import (
    Buffer,
    Concurrency,
    Extent,
    Features,
    OpenFile,
    Region,
    Space,
    Store,
    StoreError,
    admit_readers,
    file_space,
    unmake_file,
)
from tgtcore_file.block_device import BlockDevice
from tgtcore_file.durability import Durability
from tgtcore_file.extents import allocated_extents
from tgtcore_file.opening import opened, reopened
from tgtcore_file.options import FileOptions
from tgtcore_file.presence import Presence, shortened
from tgtcore_file.probes import can_zero_range, punches_holes, reads_without_waiting
from tgtcore_file.syscalls import PUNCH_HOLE, ZERO_RANGE, PageCache, fallocate

_REGION_BYTES_MIN = 32 * 1024
"""A shorter answer is cheaper copied than sent from the file."""

_INLINE_WRITE_BYTES_MAX = 64 * 1024
_INLINE_WRITE_SLOW_S = 0.002
_INLINE_WRITE_PAUSE_FACTOR = 100
_INLINE_WRITE_PAUSE_S_MAX = 1.0
"""After an inline write that took so long (the kernel throttles writers) there is none for a hundred times as long."""

_PAGE_MASK = 4095
_ZEROES = bytes(64 * 1024)


class FileStore(Store):
    """An image file or a block device.

    All of the file's bytes are the medium; locked while it is open.

    :raises StoreError: it can't be opened, made or locked, or it is not an image.
    """

    __slots__ = (
        "_bytes_there",
        "_cache",
        "_device",
        "_durability",
        "_fd",
        "_features",
        "_granule",
        "_made",
        "_no_inline_write_before",
        "_preallocate",
        "_presence",
        "_reads_nowait",
        "_sent_from",
        "_writes_durably",
        "_writes_nowait",
        "path",
        "preferred_bytes",
        "rotational",
        "size_bytes",
    )

    path: Path

    Options = FileOptions
    persistent = True
    concurrency = Concurrency.PARALLEL

    def __init__(self, options: FileOptions) -> None:
        self.path = options.path
        self._preallocate = options.preallocate
        self._fd, self._made = opened(options)
        try:
            self._learn(options)
        except BaseException:
            if self._made:
                unmake_file(self._fd, self.path)
            os.close(self._fd)
            raise

    def _learn(self, options: FileOptions) -> None:
        fd = self._fd
        status = os.fstat(fd)
        self.size_bytes = os.lseek(fd, 0, os.SEEK_END)
        if not self.size_bytes:
            raise StoreError(f"{self.path} is empty; expected an image of the size that the disk shall have")
        self._device = BlockDevice(status.st_rdev) if stat.S_ISBLK(status.st_mode) else None
        self._features = Features.NONE if self._device or options.preallocate else Features.EXTENTS
        if not options.read_only:
            self._features |= Features.WRITE | Features.WRITE_THROUGH | Features.RESIZE | self._clearing()
        self.rotational = self._device is not None and self._device.rotational
        block_bytes = self._device.physical_bytes if self._device else status.st_blksize
        self.preferred_bytes = block_bytes if block_bytes & (block_bytes - 1) == 0 else Store.preferred_bytes
        self._granule = self._device.logical_bytes if self._device else 1
        self._durability = Durability(self.path)
        self._presence = Presence(fd, self.path)
        self._bytes_there = self.size_bytes
        self._writes_durably = True
        self._cache = PageCache(fd)
        self._sent_from: OpenFile | None = None
        self._reads_nowait = reads_without_waiting(fd)
        self._writes_nowait = True
        self._no_inline_write_before = 0.0

    def _clearing(self) -> Features:
        found = Features.NONE
        if self._device or can_zero_range(self._fd, self.size_bytes):
            found |= Features.WRITE_ZEROES
        gives_back = self._device.gives_space_back if self._device else punches_holes(self._fd, self.size_bytes)
        if gives_back and not self._preallocate:
            found |= Features.UNMAP
            if self._device is None:
                found |= Features.SPACE
        return found

    def features(self) -> Features:
        """What the file system or the device can do; see the README."""
        return self._features

    def read(self, offset: int, length: int) -> Buffer:
        """As in the contract.

        :raises OSError: EIO when the file has become shorter since it was opened.
        """
        data = os.pread(self._fd, length, offset)
        return data if len(data) == length else self._read_on(data, offset, length)

    def _read_on(self, data: bytes, offset: int, length: int) -> bytes:
        pieces = [data]
        while data and (length := length - len(data)):
            offset += len(data)
            data = os.pread(self._fd, length, offset)
            pieces.append(data)
        if length:
            raise shortened(self.path, os.lseek(self._fd, 0, os.SEEK_END), self.size_bytes)
        return b"".join(pieces)

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """Bytes that are in memory; anything else, errors too, is for ``read``."""
        if not self._reads_nowait:
            return self._read_cached(offset, length)
        data = bytearray(length)
        try:
            if os.preadv(self._fd, (data,), offset, os.RWF_NOWAIT) == length:
                return data
        except OSError:
            pass
        return None

    def _read_cached(self, offset: int, length: int) -> Buffer | None:
        """For file systems without RWF_NOWAIT (tmpfs)."""
        if not self._cache.holds(offset, length):
            return None
        data = os.pread(self._fd, length, offset)
        return data if len(data) == length else None

    def region(self, offset: int, length: int) -> Region | None:
        """Long ranges that are in memory."""
        if length >= _REGION_BYTES_MIN and self._cache.holds(offset, length):
            file = self._sent_from or self._open_to_send()
            return None if file is None else Region(file, offset, length)
        return None

    def _open_to_send(self) -> OpenFile | None:
        """The file once more, when something is sent from it for the first time; None when descriptors are scarce."""
        self._sent_from = reopened(self._fd)
        return self._sent_from

    def write(self, offset: int, data: Buffer) -> None:
        """Into the page cache."""
        self._write(offset, data, 0)

    def _write(self, offset: int, data: Buffer, flags: int) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwritev(self._fd, (rest,), offset, flags)
            if not written:
                raise OSError(errno.EIO, f"{self.path} took nothing of {len(rest)} bytes at offset {offset}")
            rest = rest[written:]
            offset += written

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """Short writes into the page cache, unless they have lately had to wait there."""
        length = len(data)
        if length > _INLINE_WRITE_BYTES_MAX:
            return False
        if self._writes_nowait:
            try:
                return os.pwritev(self._fd, (data,), offset, os.RWF_NOWAIT) == length
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                self._writes_nowait = False  # ext4, tmpfs: there a plain write of short data hardly ever waits
        started = monotonic()
        if started < self._no_inline_write_before:
            return False
        if (offset | length) & _PAGE_MASK and not self._cache.holds(offset, length):
            return False  # the rest of the page would have to be read first
        written = os.pwrite(self._fd, data, offset)
        ended = monotonic()
        if (took := ended - started) > _INLINE_WRITE_SLOW_S:
            pause = min(took * _INLINE_WRITE_PAUSE_FACTOR, _INLINE_WRITE_PAUSE_S_MAX)
            self._no_inline_write_before = ended + pause
        return written == length

    def write_through(self, offset: int, data: Buffer) -> None:
        """Durable on return, without flushing the rest of the file."""
        # First plainly: where the medium does not take the data, that fails, and nothing that was taken before is lost.
        self._write(offset, data, 0)
        if not self._writes_durably or not self._write_durably(offset, data):
            self.flush()

    def _write_durably(self, offset: int, data: Buffer) -> bool:
        """False when the kernel or the file system can't."""
        with self._durability.promise():
            try:
                self._write(offset, data, os.RWF_DSYNC)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                self._writes_durably = False
        return self._writes_durably

    def flush(self) -> None:
        """As in the contract; after one failure every later flush fails, until the store is opened again.

        :raises OSError: EIO too when the file has become shorter since it was opened.
        """
        with self._durability.promise():
            self._sync()
            if self._device is None:
                self._presence.check(self._bytes_there)

    def _sync(self) -> None:
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            # a file system that is read-only in itself has no such call, and no writes either
            if error.errno != errno.EINVAL or Features.WRITE in self._features:
                raise

    def unmap(self, offset: int, length: int) -> None:
        """Punch a hole."""
        self._clear(PUNCH_HOLE, offset, length)

    def write_zeroes(self, offset: int, length: int) -> None:
        """Zero a range without writing it, where the file system or the device can."""
        self._clear(ZERO_RANGE, offset, length)

    def _clear(self, mode: int, offset: int, length: int) -> None:
        """Devices clear whole sectors: the ends that are none are written."""
        end = offset + length
        first = min(-(-offset // self._granule) * self._granule, end)
        last = max(end // self._granule * self._granule, first)
        self._write_zero_bytes(offset, first - offset)
        if last > first:
            try:
                fallocate(self._fd, mode, first, last - first)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                self._write_zero_bytes(first, last - first)  # a device may notice only now that it can't
        self._write_zero_bytes(last, end - last)

    def _write_zero_bytes(self, offset: int, length: int) -> None:
        zeroes = memoryview(_ZEROES)
        while length:
            piece = min(length, len(zeroes))
            self._write(offset, zeroes[:piece], 0)
            offset, length = offset + piece, length - piece

    def extents(self, offset: int, length: int) -> list[Extent]:
        """Data and holes, as the file system tells them."""
        return allocated_extents(self._fd, offset, length)

    def space(self) -> Space:
        """What a sparse file takes, and what its file system has left."""
        return file_space(self._fd)

    def resize(self, size_bytes: int) -> None:
        """Change the file's size; a device's can only be looked up again, after it was changed elsewhere.

        :raises OSError: EINVAL for another size than the device has, ENOSPC and EFBIG for one that does not fit.
        """
        if self._device:
            found = os.lseek(self._fd, 0, os.SEEK_END)
            if found != size_bytes:
                raise OSError(
                    errno.EINVAL,
                    f"{self.path} is a block device of {found} bytes, not {size_bytes}; resize the device first",
                )
        else:
            self._resize_file(size_bytes)
        self.size_bytes = self._bytes_there = size_bytes

    def _resize_file(self, size_bytes: int) -> None:
        self._bytes_there = min(self.size_bytes, size_bytes)  # what a flush at the same time may expect
        os.ftruncate(self._fd, size_bytes)
        if self._preallocate and size_bytes > self.size_bytes:
            try:
                os.posix_fallocate(self._fd, self.size_bytes, size_bytes - self.size_bytes)
            except OSError:
                os.ftruncate(self._fd, self.size_bytes)
                raise

    def admit_readers(self) -> None:
        """As in the contract; who opens the file for writing is kept out as before."""
        if Features.WRITE in self._features:
            admit_readers(self._fd)

    def unmake(self) -> None:
        """Remove the file if it was made for this store."""
        if self._made:
            self._presence.leave()
            unmake_file(self._fd, self.path)

    def close(self) -> None:
        """Close the file, which unlocks it; regions that are not sent yet have it open for themselves."""
        self._sent_from = None
        self._cache.close()
        os.close(self._fd)
