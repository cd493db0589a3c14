"""Which files a log may write to: its own, and nothing else that its user may write.

A path that leads somewhere else by mistake, or by the will of somebody who may make files in its folder, must not cost the file
that is there.
"""

import errno
import os
import stat
from pathlib import Path

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_WRITES = _FLAGS | os.O_RDWR | os.O_APPEND
_BEGIN = b'{"time":'
"""Of the first line."""

_TRIES = 10
"""Somebody may remove the file between two looks at it, but not for ever."""


def open_log(path: Path) -> int:
    """Open a log for appending, or make it, private to this user; this waits for nobody.

    :raises OSError: the file can't be opened, is no regular file of this user, is a symbolic link, or is something else than a log.
    """
    for _ in range(_TRIES):
        try:
            return os.open(path, _WRITES | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        try:
            return _opened(path, _WRITES)
        except FileNotFoundError:
            continue
    raise OSError(errno.EBUSY, "it comes and goes", str(path))


def check_log(path: Path) -> bool:
    """Whether there is a file, which is a log then.

    :raises OSError: as above: it must be left alone.
    """
    try:
        os.close(_opened(path, _FLAGS | os.O_RDONLY))
    except FileNotFoundError:
        return False
    return True


def _opened(path: Path, flags: int) -> int:
    _check(path, os.lstat(path))  # opening alone does something to some devices
    fd = os.open(path, flags)
    try:
        _check(path, os.fstat(fd))
        if not _BEGIN.startswith(os.pread(fd, len(_BEGIN), 0)):
            raise OSError(errno.EEXIST, "it is there and no log of commands, so it is left alone", str(path))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _check(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "it is a symbolic link", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    if found.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "it belongs to another user", str(path))
