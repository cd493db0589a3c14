"""Opening, making and locking files; every failure is one sentence that names the file."""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tgtcore import FileLock, StoreError, lock_file

Admit = Callable[[Path, os.stat_result], None]
"""Is told where a file really is, without symbolic links, and what it is, before it is opened; raises to refuse it."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
_REASONS = {
    errno.EBUSY: "the system uses it; expected a device that nobody uses",
    errno.ENOENT: "no such file",
    errno.EACCES: "permission denied",
    errno.EROFS: "its file system is read-only; open it for reading only",
    errno.EMFILE: "this process has as many files open as it may",
}
_REASONS_NOT_MADE = {
    **_REASONS,
    errno.ENOENT: "its folder does not exist",
    errno.EEXIST: "there is such a file already",
}


def opened(path: Path, lock: FileLock, admit: Admit | None = None) -> int:
    """The descriptor of a file or block device, locked.

    What it is, and where, is looked at before it is opened: opening a device or a pipe can do something in itself.

    :raises StoreError: it can't be opened or locked, or it is neither a file nor a block device; also what ``admit`` raises.
    """
    with _failures(path, "opened", _REASONS):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            flags = os.O_CLOEXEC | (os.O_RDONLY if lock is FileLock.READER else os.O_RDWR)
            status = os.fstat(handle)
            link = f"/proc/self/fd/{handle}"
            if admit is not None:
                admit(Path(os.readlink(link)), status)
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
                kind = _KINDS.get(stat.S_IFMT(status.st_mode), "special")
                raise StoreError(f"{path} is {kind}; expected a file or a block device")
            if stat.S_ISBLK(status.st_mode) and lock is not FileLock.READER:
                flags |= os.O_EXCL  # refused while a file system on it is mounted
            fd = os.open(link, flags)
        finally:
            os.close(handle)
        with _closed_on_failure(fd):
            lock_file(fd, path, lock)
        return fd


def made(path: Path, lock: FileLock) -> int:
    """The descriptor of a new, empty file, locked; its name is durable.

    :raises StoreError: it can't be made, or there is one already.
    """
    with _failures(path, "made", _REASONS_NOT_MADE):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with _closed_on_failure(fd, made=path):
            lock_file(fd, path, lock)
            _sync_folder(path.parent)
        return fd


def unmade(fd: int, path: Path) -> None:
    """Remove a file that was made; one that has taken its name since stays."""
    with suppress(OSError):
        if os.path.samestat(os.fstat(fd), os.stat(path)):
            os.unlink(path)


def _sync_folder(folder: Path) -> None:
    """Until then a power cut may take the new file away, with flushed data in it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
    except ValueError as error:
        raise StoreError(f"{path} can't be {what}: {error}") from error  # a NUL character in its name
