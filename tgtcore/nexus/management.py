"""Task management functions (SAM-5 clause 7): what they abort, and when they are done.

A function that aborts tasks is answered only when every one of them has ended, so that no write lands after the answer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import partial
from typing import TYPE_CHECKING

from tgtcore.aborting import abort_all, in_silence, told_others
from tgtcore.errors import Crowded
from tgtcore.scsi import asc

if TYPE_CHECKING:
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus.itl import ITLNexus
    from tgtcore.nexus.nexus import Nexus
    from tgtcore.task import Task


class Tmf(Enum):
    """The functions of SAM-5 clause 7, and the target resets that older transports still carry."""

    ABORT_TASK = "ABORT TASK"
    ABORT_TASK_SET = "ABORT TASK SET"
    CLEAR_ACA = "CLEAR ACA"
    CLEAR_TASK_SET = "CLEAR TASK SET"
    I_T_NEXUS_RESET = "I_T NEXUS RESET"
    LOGICAL_UNIT_RESET = "LOGICAL UNIT RESET"
    QUERY_ASYNCHRONOUS_EVENT = "QUERY ASYNCHRONOUS EVENT"
    QUERY_TASK = "QUERY TASK"
    QUERY_TASK_SET = "QUERY TASK SET"
    TARGET_RESET = "TARGET RESET"


class TmfResponse(IntEnum):
    """Service responses (SAM-5 7.1); a transport maps them to its own codes."""

    FUNCTION_COMPLETE = 0
    FUNCTION_SUCCEEDED = 1
    FUNCTION_REJECTED = 2
    INCORRECT_LOGICAL_UNIT_NUMBER = 3
    TASK_DOES_NOT_EXIST = 4


@dataclass(frozen=True)
class TmfRequest:
    """One task management request.

    :param lun: the 8-byte LUN field as a number; functions on the nexus or target ignore it.
    :param tag: the task that ABORT TASK and QUERY TASK mean.
    """

    function: Tmf
    lun: int = 0
    tag: int = 0


Answer = Callable[[TmfResponse], None]


def manage(nexus: "Nexus", request: TmfRequest, answer: Answer) -> None:
    """Perform a task management function; ``answer`` is called once, perhaps before this returns."""
    nexus.manage(request, answer)


def perform(nexus: "Nexus", request: TmfRequest, answer: Answer) -> None:
    """The same where the logical units are; called by :meth:`Nexus.manage` only."""
    function = request.function
    if function in _ON_TARGET:
        _ON_TARGET[function](nexus, answer)
        return
    try:
        itl = nexus.find(request.lun)
    except Crowded:
        answer(TmfResponse.FUNCTION_REJECTED)
        return
    if itl is None:
        answer(TmfResponse.INCORRECT_LOGICAL_UNIT_NUMBER)
    elif function in _ON_TASK:
        task = nexus.tasks.get(request.tag)
        if task is not None and task not in _own_tasks(itl):
            task = None
        _ON_TASK[function](task, answer)
    else:
        _ON_LOGICAL_UNIT[function](itl, answer)


def _own_tasks(itl: "ITLNexus") -> "list[Task]":
    """Unfinished tasks that the nexus has sent to a LUN, whatever logical unit that was then.

    Another one may have its place meanwhile, but to the initiator the function means the LUN: it counts on no response of these
    tasks after the answer.
    """
    return [task for task in itl.nexus.tasks.values() if task.itl is not None and task.itl.lun == itl.lun]


def _abort_task(task: "Task | None", answer: Answer) -> None:
    if task is None:
        answer(TmfResponse.TASK_DOES_NOT_EXIST)
    else:
        abort_all([task], in_silence, lambda: answer(TmfResponse.FUNCTION_COMPLETE))


def _query_task(task: "Task | None", answer: Answer) -> None:
    answer(TmfResponse.FUNCTION_COMPLETE if task is None else TmfResponse.FUNCTION_SUCCEEDED)


def _abort_task_set(itl: "ITLNexus", answer: Answer) -> None:
    """ABORT TASK SET, and CLEAR TASK SET: each nexus has a task set of its own (TST = 001b), so it clears the same tasks."""
    abort_all(_own_tasks(itl), in_silence, lambda: answer(TmfResponse.FUNCTION_COMPLETE))


def _logical_unit_reset(itl: "ITLNexus", answer: Answer) -> None:
    withdrawn = [task for task in _own_tasks(itl) if task.itl is not itl]
    done = partial(answer, TmfResponse.FUNCTION_COMPLETE)
    _reset(itl.nexus, itl.lu, asc.BUS_DEVICE_RESET_FUNCTION_OCCURRED, done, withdrawn)


def _reset(
    nexus: "Nexus", lu: "LogicalUnit", code: tuple[int, int], then: Callable[[], None], besides: "Iterable[Task]" = ()
) -> None:
    def done() -> None:
        lu.reset(code)
        then()

    abort_all([*lu.tasks(), *besides], told_others(nexus, lu), done)


def _query_task_set(itl: "ITLNexus", answer: Answer) -> None:
    present = bool(_own_tasks(itl))
    answer(TmfResponse.FUNCTION_SUCCEEDED if present else TmfResponse.FUNCTION_COMPLETE)


def _query_asynchronous_event(itl: "ITLNexus", answer: Answer) -> None:
    answer(TmfResponse.FUNCTION_SUCCEEDED if itl.attentions else TmfResponse.FUNCTION_COMPLETE)


def _clear_aca(itl: "ITLNexus", answer: Answer) -> None:
    """ACA is not supported (NORMACA is zero), so there is never a condition to clear."""
    answer(TmfResponse.FUNCTION_REJECTED)


def _nexus_reset(nexus: "Nexus", answer: Answer) -> None:
    """As if the nexus were lost and at once there again (SAM-5 7.6)."""

    def done() -> None:
        for itl in nexus.itls.values():
            itl.loss()
        answer(TmfResponse.FUNCTION_COMPLETE)

    abort_all(nexus.tasks.values(), in_silence, done)


def _target_reset(nexus: "Nexus", answer: Answer) -> None:
    """A hard reset (SAM-5 6.3.2) of every logical unit that this nexus can reach; what it can't see, it can't disturb.

    Its own tasks all end, also those for a LUN that is being taken away: the initiator counts on no response after the answer.
    """
    lus = nexus.luns().values()
    withdrawn = [task for task in nexus.tasks.values() if task.itl is not None and task.itl.lu not in lus]
    remaining = len(lus) + 1

    def one_done() -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            answer(TmfResponse.FUNCTION_COMPLETE)

    for lu in lus:
        _reset(nexus, lu, asc.POWER_ON_OR_RESET_OCCURRED, one_done)
    abort_all(withdrawn, in_silence, one_done)


_ON_TASK = {Tmf.ABORT_TASK: _abort_task, Tmf.QUERY_TASK: _query_task}
_ON_LOGICAL_UNIT = {
    Tmf.ABORT_TASK_SET: _abort_task_set,
    Tmf.CLEAR_ACA: _clear_aca,
    Tmf.CLEAR_TASK_SET: _abort_task_set,
    Tmf.LOGICAL_UNIT_RESET: _logical_unit_reset,
    Tmf.QUERY_ASYNCHRONOUS_EVENT: _query_asynchronous_event,
    Tmf.QUERY_TASK_SET: _query_task_set,
}
_ON_TARGET = {Tmf.I_T_NEXUS_RESET: _nexus_reset, Tmf.TARGET_RESET: _target_reset}
