"""Letting tasks go on that had to wait, perhaps on another device than the one that they came to."""

import logging
from collections.abc import Callable
from typing import Any

from tgtcore.errors import CheckCondition
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.task import State, Task

_log = logging.getLogger(__name__)


def renew(task: Task) -> None:
    """Give a task the command of the device that there is now.

    :raises CheckCondition: it has no such command.
    """
    assert task.itl is not None
    command = task.itl.commands.find(task.cdb)
    if command is None:
        raise CheckCondition(SenseKey.ILLEGAL_REQUEST, asc.INVALID_COMMAND_OPERATION_CODE, field=(0, None))
    task.command = command


def check_again(task: Task) -> None:
    """Let the device that there is now check the CDB of a task that has its data-out.

    :raises CheckCondition: it refuses it, or wants other data-out.
    """
    assert task.itl is not None
    wants = task.command.wants
    if (0 if wants is None else wants(task.itl.device, task)) != task.wanted_out:
        raise CheckCondition(SenseKey.ABORTED_COMMAND, asc.DATA_PHASE_ERROR)


def guarded(task: Task, function: Callable[..., None], *args: Any) -> None:
    """Do something to a task; whatever goes wrong ends that task, and is not the business of the others."""
    try:
        try:
            function(*args)
        except Exception as error:
            if task.state is State.ENDED:
                raise
            assert task.itl is not None
            task.itl.lu.fail(task, error)
    except Exception:
        _log.exception("%s has ended, and its transport failed at that", task)
