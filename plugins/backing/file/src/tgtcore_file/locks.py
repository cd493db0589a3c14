"""Advisory locks, so that no two programs write to one image.

Open file description locks belong to the open file and not to the process: closing another descriptor of the same file does
not lose them, and two stores in one process exclude each other too.
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tgtcore import StoreError

_FLOCK = struct.Struct("@hhqqi4x")
"""struct flock: l_type, l_whence, l_start, l_len (0: to the end, wherever it will be), l_pid (must be 0 here)."""

_OTHERS = (errno.EAGAIN, errno.EACCES)


def lock(fd: int, path: Path, *, read_only: bool) -> None:
    """Lock a whole file, for as long as it is open: for writing alone, or for reading with other readers.

    :raises StoreError: another program has it (the message says who, where that can be found), or locks don't work there.
    """
    kind = fcntl.F_RDLCK if read_only else fcntl.F_WRLCK
    wanted = _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, wanted)
    except OSError as error:
        if error.errno not in _OTHERS:
            raise StoreError(f"{path} can't be locked: {error.strerror}; expected a file system with locks") from error
        purpose = "nobody who writes to it" if read_only else "to have it alone"
        raise StoreError(f"{path} is locked by {_holder(fd, wanted)}; expected {purpose}") from error


def _holder(fd: int, wanted: bytes) -> str:
    pid = -1
    with suppress(OSError):
        pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, wanted))[4]
    pids = [pid] if pid > 0 else list(_lockers(os.fstat(fd)))
    return ", ".join(_described(pid) for pid in pids) or "another program"


def _lockers(file: os.stat_result) -> Iterator[int]:
    """Processes with an open file description lock on a file: the lock itself does not tell."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to another user
            if any(_locks(process, name, file) for name in os.listdir(process / "fd")):
                yield int(process.name)


def _locks(process: Path, descriptor: str, file: os.stat_result) -> bool:
    with suppress(OSError):
        found = os.stat(process / "fd" / descriptor)
        same = (found.st_dev, found.st_ino) == (file.st_dev, file.st_ino)
        return same and "OFDLCK" in (process / "fdinfo" / descriptor).read_text()
    return False


def _described(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return f"process {pid}"
    return f"this process ({pid})" if pid == os.getpid() else f"process {pid} ({name})"
