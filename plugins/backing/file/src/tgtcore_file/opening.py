"""Opening, locking and making images; every failure is one sentence that names the file."""

import errno
import os
import resource
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tgtcore import FileLock, OpenFile, StoreError, lock_file
from tgtcore_file.options import FileOptions

_SHARE_OF_DESCRIPTORS = 7 / 8

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
_REASONS = {
    errno.EBUSY: "the system uses it (mounted, swap, or part of a RAID or volume group); expected a device that nobody uses",
    errno.ENOENT: "its folder does not exist",
    errno.EACCES: "permission denied; expected one that may be read and written, or read_only = true",
    errno.EROFS: "its file system is read-only; expected one that may be written, or read_only = true",
    errno.ENOSPC: "no space left on its file system",
    errno.EMFILE: "this process has as many files open as it may; raise LimitNOFILE= of its service, or ulimit -n",
}
_REASONS_NOT_MADE = {
    **_REASONS,
    errno.EACCES: "permission denied; expected a folder that may be written to",
    errno.EFBIG: "so large a file does not fit on its file system",
}


def opened(options: FileOptions) -> tuple[int, bool]:
    """The descriptor of an image that is locked and not empty, and whether it was made for this, as ``create`` asks for.

    :raises StoreError: it can't be opened, made or locked, or it is not an image.
    """
    with _failures(options.path, "opened", _REASONS):
        try:
            kind = os.stat(options.path).st_mode
        except FileNotFoundError:
            if not options.create or options.read_only:
                raise StoreError(f"{options.path}: no such file; expected an image or {_cure(options)}") from None
            return _made(options), True
        return _existing(options, kind), False


def _cure(options: FileOptions) -> str:
    return "read_only = false" if options.create else 'create = true with a size, such as size = "10G"'


def _existing(options: FileOptions, kind: int) -> int:
    path = options.path
    if not (stat.S_ISREG(kind) or stat.S_ISBLK(kind)):
        raise StoreError(f"{path} is {_KINDS.get(stat.S_IFMT(kind), 'special')}; expected a file or a block device")
    flags = os.O_CLOEXEC | (os.O_RDONLY if options.read_only else os.O_RDWR)
    if stat.S_ISBLK(kind) and not options.read_only:
        flags |= os.O_EXCL  # refused while a file system on it is mounted
    fd = os.open(path, flags)
    with _closed_on_failure(fd):
        if stat.S_IFMT(os.fstat(fd).st_mode) != stat.S_IFMT(kind):
            raise StoreError(f"{path} was replaced while it was opened")
        lock_file(fd, path, FileLock.READER if options.read_only else FileLock.ALONE)
        if not os.lseek(fd, 0, os.SEEK_END):
            raise StoreError(f"{path} is empty; expected an image of the size that the disk shall have")
    return fd


def _made(options: FileOptions) -> int:
    path, size = options.path, options.size
    assert size is not None, "the options model asks for it"
    with _failures(path, "made", _REASONS_NOT_MADE):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with _closed_on_failure(fd, made=path):
            lock_file(fd, path, FileLock.ALONE)
            os.ftruncate(fd, size)
            if options.preallocate:
                os.posix_fallocate(fd, 0, size)
            os.fsync(fd)
            _sync_folder(path.parent)
    return fd


def _sync_folder(folder: Path) -> None:
    """Until then a power cut may take the new file away, with flushed data in it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def reopened(fd: int) -> OpenFile | None:
    """The same file once more, for reading: with neither the lock nor the exclusive use of a device that ``fd`` has.

    None when most descriptors are in use: the last ones are for what can't do without, such as connections.
    """
    with suppress(OSError):
        file = OpenFile(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC))
        if file.fd < resource.getrlimit(resource.RLIMIT_NOFILE)[0] * _SHARE_OF_DESCRIPTORS:
            return file
    return None


def unmade(fd: int, path: Path) -> None:
    """Remove an image that was made; a file that has taken its name since stays."""
    with suppress(OSError):
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            os.unlink(path)


@contextmanager
def _closed_on_failure(fd: int, made: Path | None = None) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if made:
            unmade(fd, made)
        os.close(fd)
        raise


@contextmanager
def _failures(path: Path, what: str, reasons: Mapping[int, str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = reasons.get(error.errno or 0) or (error.strerror or str(error)).lower()
        raise StoreError(f"{path} can't be {what}: {reason}") from error
