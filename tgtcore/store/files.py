"""Opening and making image files; every failure is one sentence that names the file and says what was expected."""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tgtcore.errors import StoreError
from tgtcore.store.contract import Space
from tgtcore.store.locks import FileLock, lock_file

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
_REASONS = {
    errno.EBUSY: "the system uses it (mounted, swap, or part of a RAID or volume group); expected a device that nobody uses",
    errno.EMFILE: "this process has as many files open as it may; raise LimitNOFILE= of its service, or ulimit -n",
}
_REASONS_NOT_OPENED = {
    **_REASONS,
    errno.ENOENT: "no such file",
    errno.EACCES: "permission denied",
    errno.EROFS: "its file system is read-only",
}
_REASONS_NOT_MADE = {
    **_REASONS,
    errno.EEXIST: "there is such a file already",
    errno.ENOENT: "its folder does not exist",
    errno.EACCES: "permission denied; expected a folder that may be written to",
    errno.EROFS: "its file system is read-only; expected one that may be written",
    errno.ENOSPC: "no space left on its file system",
    errno.EFBIG: "so large a file does not fit on its file system",
}


def file_space(fd: int) -> Space:
    """What an open file takes, and what its file system has left for those who are not root."""
    file_system = os.fstatvfs(fd)
    return Space(os.fstat(fd).st_blocks * 512, file_system.f_bavail * file_system.f_frsize, shared=True)


def open_file(
    path: Path,
    lock: FileLock,
    *,
    advice: Mapping[int, str] | None = None,
    admit: Callable[[Path, os.stat_result], None] | None = None,
) -> int:
    """The descriptor of a file or block device, locked; for reading only if it is locked as a reader.

    What it is, and where, is looked at before it is opened: opening a device or a pipe can do something in itself.

    :param advice: what to do about an error, by its number, in the words of whoever has configured the file.
    :param admit: is told where the file really is, without symbolic links, and what it is; raises to refuse it.
    :raises StoreError: it can't be opened (``__cause__`` is the ``OSError``) or locked, or it is neither a file nor a block
        device; also what ``admit`` raises.
    """
    with _failures(path, "opened", _REASONS_NOT_OPENED, advice or {}):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            link = f"/proc/self/fd/{handle}"
            if admit is not None:
                admit(Path(os.readlink(link)), status)
            fd = os.open(link, _flags(path, status.st_mode, lock))
        finally:
            os.close(handle)
        with _closed_on_failure(fd):
            lock_file(fd, path, lock)
        return fd


def _flags(path: Path, mode: int, lock: FileLock) -> int:
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise StoreError(f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'special')}; expected a file or a block device")
    if lock is FileLock.READER:
        return os.O_RDONLY | os.O_CLOEXEC
    exclusive = os.O_EXCL if stat.S_ISBLK(mode) else 0  # refused while a file system on it is mounted
    return os.O_RDWR | os.O_CLOEXEC | exclusive


def make_file(path: Path, lock: FileLock, fill: Callable[[int], None] | None = None) -> int:
    """The descriptor of a new file, locked; on return a power cut can't take it away.

    Only its owner may open it.  What can't be made to the end is removed.

    :param fill: is given the descriptor, and writes what shall be in the file from the beginning; without it, the file is empty.
    :raises StoreError: it can't be made, filled or locked, or there is one already.
    """
    with _failures(path, "made", _REASONS_NOT_MADE, {}):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with _closed_on_failure(fd, made=path):
            lock_file(fd, path, lock)
            if fill is not None:
                fill(fd)
                os.fsync(fd)
            _sync_folder(path.parent)
        return fd


def name_file(path: Path, name: Path) -> None:
    """Give a file that was made another name in the same file system, durably: it shall have its name only when it is complete.

    :raises StoreError: it can't have that name, or there is such a file already.
    """
    with _failures(name, "made", _REASONS_NOT_MADE, {}):
        os.link(path, name)  # a rename would take the place of what is there
        os.unlink(path)
        _sync_folder(name.parent)


def unmake_file(fd: int, path: Path) -> None:
    """Remove a file that was made, as far as that can be done; one that has taken its name since stays."""
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
            unmake_file(fd, made)
        os.close(fd)
        raise


@contextmanager
def _failures(path: Path, what: str, reasons: Mapping[int, str], advice: Mapping[int, str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        reason = reasons.get(code) or (error.strerror or str(error)).lower()
        cure = f"; {advice[code]}" if code in advice else ""
        raise StoreError(f"{path} can't be {what}: {reason}{cure}") from error
    except ValueError as error:
        raise StoreError(f"{path} can't be {what}: {error}") from error  # a NUL character in its name
