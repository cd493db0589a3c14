"""Advisory locks on image files, in QEMU's way, so that no two programs write to one image, whoever made them.

QEMU speaks of permissions, which have numbers.  Whoever opens an image locks one byte of the file for each permission that it
uses, and another byte for each that it lets nobody else have, all of them as readers do; then it looks whether somebody has
locked the opposite of one of these bytes (QEMU's block/file-posix.c).  Of two that do so at the same time both may be refused.

Open file description locks belong to the open file and not to the process: closing another descriptor of the same file does
not lose them, and two stores in one process exclude each other too.
"""

import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path

from tgtcore.errors import StoreError

_CONSISTENT_READ, _WRITE, _WRITE_UNCHANGED, _RESIZE = range(4)
_USED, _DENIED = 100, 200
"""A permission's byte when it is used, and when others may not have it."""

_FLOCK = struct.Struct("@hhqqi4x")
"""struct flock: l_type, l_whence, l_start, l_len, l_pid (must be 0 when asking)."""

_OTHERS = (errno.EAGAIN, errno.EACCES)
_LOCK_LINE = re.compile(r"OFDLCK\s+\S+\s+\S+\s+-1\s+\S+\s+(\d+)\s+(\d+|EOF)")


class FileLock(Enum):
    """What a program does with an image file, and what nobody else may do meanwhile.

    READER shares it with readers.  WRITER shares it only with those that read at their own risk (``qemu-img --force-share``),
    which is for formats that say of themselves whether they are whole.  ALONE shares it with nobody who locks.
    """

    READER = (_CONSISTENT_READ,), (_WRITE, _RESIZE)
    WRITER = (_CONSISTENT_READ, _WRITE, _RESIZE), (_WRITE, _RESIZE)
    ALONE = (_CONSISTENT_READ, _WRITE, _RESIZE), (_CONSISTENT_READ, _WRITE, _WRITE_UNCHANGED, _RESIZE)

    def __init__(self, used: tuple[int, ...], denied: tuple[int, ...]) -> None:
        self.own = [*(_USED + one for one in used), *(_DENIED + one for one in denied)]
        """The bytes that it locks."""
        self.opposite = [*(_DENIED + one for one in used), *(_USED + one for one in denied)]
        """Those that nobody else may have locked."""


def lock_file(fd: int, path: Path, kind: FileLock) -> None:
    """Lock an open file for as long as it is open; programs that lock as QEMU does, or the whole file, respect it.

    :param fd: open for reading, at least.
    :param path: of the file, for messages.
    :raises StoreError: another program has it (the message says who, where that can be found), or locks don't work there.
    """
    try:
        contested = _contested(fd, kind)
        if contested is not None:
            _lock(fd, fcntl.F_UNLCK, 0, 0)
    except OSError as error:
        raise StoreError(f"{path} can't be locked: {error.strerror}; expected a file system with locks") from error
    if contested is not None:
        purpose = "nobody who writes to it" if kind is FileLock.READER else "to have it alone"
        raise StoreError(f"{path} is locked by {_holder(fd, contested)}; expected {purpose}")


def admit_readers(fd: int) -> None:
    """Make the lock of one that has a file ALONE that of a WRITER, at no moment less; there is no way back."""
    for byte in FileLock.ALONE.own:
        if byte not in FileLock.WRITER.own:
            _lock(fd, fcntl.F_UNLCK, byte)


def _contested(fd: int, kind: FileLock) -> int | None:
    """The first byte that somebody else has; None: all are locked."""
    for byte in kind.own:
        try:
            _lock(fd, fcntl.F_RDLCK, byte)
        except OSError as error:
            if error.errno not in _OTHERS:
                raise
            return byte
    return next((byte for byte in kind.opposite if _conflict(fd, byte)), None)


def _lock(fd: int, how: int, start: int, length: int = 1) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(how, os.SEEK_SET, start, length, 0))


def _conflict(fd: int, byte: int) -> int:
    """The process that another open file has locked a byte for, -1 if the lock does not tell; 0: nobody has."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    how, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))
    return 0 if how == fcntl.F_UNLCK else pid


def _holder(fd: int, byte: int) -> str:
    pid = 0
    with suppress(OSError):
        pid = _conflict(fd, byte)
    pids = [pid] if pid > 0 else list(_lockers(os.fstat(fd), byte))
    return ", ".join(_described(pid) for pid in pids) or "another program"


def _lockers(file: os.stat_result, byte: int) -> Iterator[int]:
    """Processes with an open file description lock on a byte of a file: the lock itself does not tell."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to another user
            if any(_locks(process, name, file, byte) for name in os.listdir(process / "fd")):
                yield int(process.name)


def _locks(process: Path, descriptor: str, file: os.stat_result, byte: int) -> bool:
    with suppress(OSError):
        if os.path.samestat(os.stat(process / "fd" / descriptor), file):
            ranges = _LOCK_LINE.findall((process / "fdinfo" / descriptor).read_text())
            return any(int(first) <= byte and (last == "EOF" or byte <= int(last)) for first, last in ranges)
    return False


def _described(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return f"process {pid}"
    return f"this process ({pid})" if pid == os.getpid() else f"process {pid} ({name})"
