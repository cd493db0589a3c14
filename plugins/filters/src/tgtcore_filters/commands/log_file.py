"""A file of JSON lines that a thread of its own writes, and that takes a limited part of the disk."""

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tgtcore import StoreError
from tgtcore_filters.commands.own_files import check_log, open_log

_log = logging.getLogger(__name__)

_WAITING_MAX = 16384
"""Records that wait to be written; some megabytes.  Further ones are dropped, and counted."""

_GATHER_S = 0.05
"""The thread writes what has come in this time at once, so that it does not wake for every record."""

_END_S = 10.0


class LogFile:
    """One log.  Everything but :meth:`close` may be called on the loop's thread: nothing waits for the file.

    :param path: appended to if it is a log of this user, or made for this user alone.
    :param max_bytes: a file becomes no longer than this; then it is renamed, and a new one is begun.
    :param keep: how many that were renamed are kept.
    :raises StoreError: the file can't be opened, or is none that may be written to.
    """

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._waiting: deque[dict[str, Any]] = deque()
        self._something = threading.Event()
        self._ending = threading.Event()
        self._rotates = False
        self._dropped = self._dropped_told = self._written = 0
        self._failed = False
        try:
            self._fd = open_log(path)
        except OSError as error:
            raise StoreError(f"{path} can't be opened: {error.strerror}") from error
        self._thread = threading.Thread(target=self._run, name=f"log {path.name}", daemon=True)
        self._thread.start()

    # ---- for the loop's thread --------------------------------------------------------------------------------------

    def put(self, record: dict[str, Any]) -> None:
        """Have a record written; its ``time`` is in seconds since 1970."""
        if len(self._waiting) >= _WAITING_MAX:
            self._dropped += 1
            return
        self._waiting.append(record)
        if not self._something.is_set():
            self._something.set()

    def rotate(self) -> None:
        """Begin a new file as soon as what was put before is written."""
        self._rotates = True
        self._something.set()

    def figures(self) -> dict[str, int]:
        """How many lines were written, wait, or were dropped."""
        return {"written": self._written, "waiting": len(self._waiting), "dropped": self._dropped}

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self._ending.set()
        self._something.set()
        self._thread.join(_END_S)

    # ---- for the thread that writes -----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ending.is_set():
            self._something.wait()
            self._ending.wait(_GATHER_S)
            self._something.clear()
            self._write_all()
        self._write_all()
        os.close(self._fd)

    def _write_all(self) -> None:
        lines = deque(_line(self._waiting.popleft()) for _ in range(len(self._waiting)))
        dropped = self._dropped
        if tells := dropped > self._dropped_told:
            lines.append(_line({"time": time.time(), "dropped": dropped - self._dropped_told}))
        try:
            while lines:
                self._write_some(lines)
            if self._rotates:
                self._begin_new()
            self._failed = False
        except OSError as error:
            self._dropped += max(len(lines) - tells, 0)  # the last one is about others
            if not self._failed:
                _log.warning("%s can't be written, so commands are not logged: %s", self._path, error)
            self._failed = True
        if not lines:
            self._dropped_told = dropped
        self._rotates = False

    def _write_some(self, lines: deque[bytes]) -> None:
        """Write as many lines as the file has room for; if that is none, begin a new one."""
        self._follow()
        used = os.fstat(self._fd).st_size
        some = _fitting(lines, self._max_bytes - used)
        if not some:
            self._begin_new()
            return
        data = memoryview(b"".join(some))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            os.ftruncate(self._fd, used)  # no line in part
            raise
        for _ in some:
            lines.popleft()
        self._written += len(some)

    def _begin_new(self) -> None:
        """Rename the file, and those before it, and open a new one.

        :raises OSError: that fails, or one of the names is that of something else than a log; nothing is renamed then.
        """
        self._follow()
        there = [number for number in range(self._keep, 0, -1) if check_log(self._earlier(number))]
        for number in there:
            if number < self._keep:
                self._earlier(number).replace(self._earlier(number + 1))
        if self._keep:
            self._path.replace(self._earlier(1))
        else:
            self._path.unlink()
        self._follow()

    def _earlier(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _follow(self) -> None:
        """Open the file again if somebody has renamed or removed it: another log that writes to it, or another program."""
        try:
            same = os.path.samestat(self._path.lstat(), os.fstat(self._fd))
        except FileNotFoundError:
            same = False
        if not same:
            opened = open_log(self._path)
            os.close(self._fd)
            self._fd = opened


def _fitting(lines: Iterable[bytes], room: int) -> list[bytes]:
    """The first lines, as many as there is room for."""
    found = []
    for line in lines:
        room -= len(line)
        if room < 0:
            break
        found.append(line)
    return found


def _line(record: dict[str, Any]) -> bytes:
    when = datetime.fromtimestamp(record["time"], UTC).isoformat(timespec="microseconds")
    return json.dumps({**record, "time": when}).encode() + b"\n"
