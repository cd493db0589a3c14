"""Aborting tasks: in which order, what their initiators are told, and when it is over."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tgtcore.scsi.status import Status
from tgtcore.task import State

if TYPE_CHECKING:
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus import Nexus
    from tgtcore.task import Task


def abort_all(tasks: Iterable["Task"], status: "Callable[[Task], int | None]", then: Callable[[], None]) -> None:
    """Abort tasks; ``then`` when the last of them has ended.

    :param status: what the initiator of a task is told: TASK ABORTED, or None for nothing.
    """
    when_all_ended([task for task in _in_safe_order(tasks) if not task.abort(status(task))], then)


def when_all_ended(tasks: Iterable["Task"], then: Callable[[], None]) -> None:
    """Call ``then`` when the last of some tasks has ended, perhaps now."""
    remaining = 1

    def one_ended() -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0:
            then()

    for task in tasks:
        if task.state is not State.ENDED:
            remaining += 1
            task.when_ended(one_ended)
    one_ended()


def _in_safe_order(tasks: Iterable["Task"]) -> list["Task"]:
    """Those that have not started come first, the youngest before the others, so that no abort lets another of them start."""
    youngest_first = list(tasks)[::-1]
    return sorted(youngest_first, key=lambda task: not task.dormant)


def in_silence(task: "Task") -> int | None:
    """The initiator of an aborted task is told nothing."""
    return None


def told_all(task: "Task") -> int | None:
    """What no initiator has asked for: with TAS, every task ends with TASK ABORTED, and nobody waits for a timeout."""
    itl = task.itl
    return Status.TASK_ABORTED if itl is not None and itl.lu.task_aborted_status else None


def told_others(nexus: "Nexus", lu: "LogicalUnit") -> "Callable[[Task], int | None]":
    """SAM-5 5.3.1: with TAS, tasks of other nexuses end with TASK ABORTED; without it, or for one's own, in silence."""
    told = Status.TASK_ABORTED if lu.task_aborted_status else None
    return lambda task: None if task.nexus is nexus else told
