"""The filter ``log``: a line of JSON for each command."""

import time
from pathlib import Path
from typing import Any

from pydantic import Field

from tgtcore import CommandFilter, NoOptions, Options, Size, Task, action
from tgtcore.scsi.cdb import cdb_bytes, command_name
from tgtcore.scsi.parameters import ParameterError
from tgtcore.scsi.sense import parse_sense
from tgtcore.scsi.status import Status
from tgtcore_filters.commands import transferred
from tgtcore_filters.commands.log_file import LogFile

_RANGES_MAX = 8
_MIB = 1024 * 1024


class LogOptions(Options):
    """``type = "log"``."""

    path: Path = Field(
        description="the file; lines are appended to a log that is there, a new one is private to its user"
    )
    max_bytes: Size = Field(64 * _MIB, ge=64 * 1024, description="size at which a new file is begun")
    keep: int = Field(
        3, ge=0, le=100, description="how many files from before are kept, as `PATH.1`, the newest, `PATH.2`, ..."
    )


class Log(CommandFilter):
    """Writes down every command that has ended, never any of its data."""

    Options = LogOptions
    options: LogOptions

    def __init__(self, options: LogOptions) -> None:
        super().__init__(options)
        self._file = LogFile(options.path, options.max_bytes, options.keep)
        self._about: dict[Task, list[list[int]] | None] = {}
        """The commands that have not ended, with their blocks: UNMAP tells them in its data-out, which is gone at the end."""

    def accepted(self, task: Task) -> None:
        """It will be written down."""
        self._about[task] = None

    def command(self, task: Task) -> None:
        """Note what it is about, unless it came before this filter."""
        if task in self._about:
            self._about[task] = _blocks(task)

    def ended(self, task: Task) -> None:
        """Write it down."""
        seconds = time.monotonic() - task.since_s
        blocks = self._about.pop(task)
        self._file.put(_record(task, seconds, _blocks(task) if blocks is None else blocks))

    @action("Begin a new file now; the one that there is becomes PATH.1.")
    def rotate(self, _: NoOptions) -> dict[str, Any]:
        """As soon as what was logged before is in the old one."""
        self._file.rotate()
        return {}

    def figures(self) -> dict[str, Any]:
        """Lines written, waiting to be written, and dropped."""
        return self._file.figures()

    def close(self) -> None:
        """Write what waits."""
        self._file.close()


def _record(task: Task, seconds: float, blocks: list[list[int]]) -> dict[str, Any]:
    """What there is to say about a command, without its data."""
    assert task.itl is not None
    aborted = task.abort_status is not None
    record: dict[str, Any] = {
        "time": time.time() - seconds,
        "initiator": task.nexus.initiator_port.name,
        "lun": task.itl.lun,
        "tag": task.tag,
        "command": command_name(task.cdb),
        "cdb": task.cdb[: cdb_bytes(task.cdb)].hex(),
        "status": _status(task.status) if task.responds else None,
        "latency_us": int(seconds * 1e6),
        "bytes_in": 0 if aborted else transferred.into(task),
        "bytes_out": transferred.out(task),
    }
    if blocks:
        record["blocks"] = blocks
    if task.sense:
        record["sense"] = _sense(task.sense)
    if aborted:
        record["aborted"] = True
    return record


def _blocks(task: Task) -> list[list[int]]:
    """First block and number of blocks of each range, of the first ones."""
    assert task.itl is not None
    return [[one.start, len(one)] for one in task.itl.device.addressed(task)[:_RANGES_MAX]]


def _status(status: int) -> str:
    try:
        return Status(status).name.replace("_", " ")
    except ValueError:
        return f"{status:02X}h"


def _sense(sense: bytes) -> str:
    try:
        return parse_sense(sense).describe()
    except ParameterError:
        return sense.hex()
