"""From what went wrong to what the initiator is told: the one place that turns Python exceptions into status and sense data."""

import errno
import logging
from typing import TYPE_CHECKING

from tgtcore.errors import CheckCondition, ProvokedError, ReadOnly, ReservationConflict, StoreError, Unsupported
from tgtcore.reservations import ReservationClass
from tgtcore.scsi import asc
from tgtcore.scsi.cdb import describe_cdb
from tgtcore.scsi.sense import Sense, SenseKey
from tgtcore.scsi.status import Status

if TYPE_CHECKING:
    from tgtcore.task import Task

_log = logging.getLogger(__name__)

_Code = tuple[int, int]

_BY_ERRNO: dict[int, tuple[SenseKey, _Code]] = {
    errno.ENOSPC: (SenseKey.DATA_PROTECT, asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT),
    errno.EDQUOT: (SenseKey.DATA_PROTECT, asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT),
    errno.EFBIG: (SenseKey.DATA_PROTECT, asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT),
    errno.EROFS: (SenseKey.DATA_PROTECT, asc.WRITE_PROTECTED),
    errno.EPERM: (SenseKey.DATA_PROTECT, asc.WRITE_PROTECTED),
    errno.EACCES: (SenseKey.DATA_PROTECT, asc.WRITE_PROTECTED),
    errno.ENOMEDIUM: (SenseKey.NOT_READY, asc.MEDIUM_NOT_PRESENT),
    errno.ENODEV: (SenseKey.NOT_READY, asc.LOGICAL_UNIT_NOT_READY_CAUSE_NOT_REPORTABLE),
    errno.ENXIO: (SenseKey.NOT_READY, asc.LOGICAL_UNIT_NOT_READY_CAUSE_NOT_REPORTABLE),
    errno.ENOMEM: (SenseKey.ABORTED_COMMAND, asc.INSUFFICIENT_RESOURCES),
    errno.ETIMEDOUT: (SenseKey.ABORTED_COMMAND, asc.LOGICAL_UNIT_COMMUNICATION_FAILURE),
    errno.EOPNOTSUPP: (SenseKey.ILLEGAL_REQUEST, asc.INVALID_COMMAND_OPERATION_CODE),
}


def answer(task: "Task", error: BaseException, *, descriptor_sense: bool) -> tuple[int, bytes]:
    """Status and sense data for a task that ended with ``error``.

    What is not expected (a defect in a device type or a store) is logged with its traceback and answered
    HARDWARE ERROR, INTERNAL TARGET FAILURE: the connection and the daemon live on.
    """
    if isinstance(error, ReservationConflict):
        return Status.RESERVATION_CONFLICT, b""
    sense = _sense(task, error)
    return Status.CHECK_CONDITION, sense.encode(descriptor_sense)


def _sense(task: "Task", error: BaseException) -> Sense:
    if isinstance(error, CheckCondition):
        return Sense.of(error)
    if isinstance(error, ReadOnly):
        return Sense(SenseKey.DATA_PROTECT, asc.WRITE_PROTECTED)
    if isinstance(error, Unsupported):
        return Sense(SenseKey.ILLEGAL_REQUEST, asc.INVALID_COMMAND_OPERATION_CODE)
    if isinstance(error, MemoryError):
        return Sense(SenseKey.ABORTED_COMMAND, asc.INSUFFICIENT_RESOURCES)
    if isinstance(error, OSError):
        if not isinstance(error, ProvokedError):
            _log.warning("%s: %s", task, error)
        key, code = _BY_ERRNO.get(error.errno or 0, _medium_error(task))
        return Sense(key, code)
    if isinstance(error, StoreError):
        if not isinstance(error, ProvokedError):
            _log.warning("%s: %s", task, error)
        return Sense(*_medium_error(task))
    _log.error("%s failed inside the target: %s", task, describe_cdb(task.cdb), exc_info=error)
    return Sense(SenseKey.HARDWARE_ERROR, asc.INTERNAL_TARGET_FAILURE)


def _medium_error(task: "Task") -> tuple[SenseKey, _Code]:
    """A command that only reads has failed to read; any other one, a flush too, may have lost what was written."""
    reads = task.command is not None and task.command.reservation is ReservationClass.READ
    return SenseKey.MEDIUM_ERROR, asc.UNRECOVERED_READ_ERROR if reads else asc.WRITE_ERROR
