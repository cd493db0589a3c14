"""Bugs to be planted in the core: what the simulation must find."""

from collections.abc import Callable
from typing import Any

import pytest
from tgtcore_disk import Disk

from tgtcore.daemon.saved_state import SavedState
from tgtcore.logical_unit import LogicalUnit
from tgtcore.logical_unit.filters import Filters
from tgtcore.loop import Lane
from tgtcore.nexus import Nexus
from tgtcore.task import Attribute, State, Task
from tgtcore.task_set import TaskSet

Plant = Callable[[pytest.MonkeyPatch], None]


class Some:
    """True for one in so many, counted over all runs of a test."""

    def __init__(self, one_in: int) -> None:
        self._one_in = one_in
        self._count = 0

    def __bool__(self) -> bool:
        self._count += 1
        return self._count % self._one_in == 0


def _handle(patch: pytest.MonkeyPatch, method: str, handler: Callable[..., Any]) -> None:
    """Give disks another handler, and opcode tables that have it."""
    patch.setattr(Disk, method, handler)
    patch.setattr(Disk, "_tables", {})


def dropped_completion(patch: pytest.MonkeyPatch) -> None:
    """Some results of jobs are dropped."""
    run, some = LogicalUnit.run, Some(50)

    def lossy(self: LogicalUnit, function: Any, args: Any, done: Any) -> None:
        run(self, function, args, (lambda result, error: None) if some else done)

    patch.setattr(LogicalUnit, "run", lossy)


def double_completion(patch: pytest.MonkeyPatch) -> None:
    """Some commands are ended twice, and nothing in the core minds."""
    finish, some = Task.finish, Some(50)

    def twice(self: Task, status: int, sense: bytes) -> None:
        finish(self, status, sense)
        if some:
            self.done()

    patch.setattr(Task, "finish", twice)


def leaked_lease(patch: pytest.MonkeyPatch) -> None:
    """A command that was aborted while it ran keeps its leases on the nexus and the logical unit."""
    ended = Nexus.task_ended

    def keep(self: Nexus, task: Task) -> None:
        ended(self, task)
        if task.abort_status is not None and task.enabled:
            self.tasks[task.tag] = task

    patch.setattr(Nexus, "task_ended", keep)


def write_acknowledged_early(patch: pytest.MonkeyPatch) -> None:
    """A WRITE that needs a worker is GOOD before it is done."""
    write = Disk.write

    def early(self: Disk, task: Task) -> Any:
        lba, blocks, _ = task.arguments
        if task.data_out is None or len(task.data_out) != blocks << self.shift or lba + blocks > self.blocks:
            return write(self, task)
        self.lu.run(self.store.write, (lba << self.shift, bytes(task.data_out)), lambda result, error: None)
        return None

    _handle(patch, "write", early)


def lost_abort(patch: pytest.MonkeyPatch) -> None:
    """An abort leaves alone what is running, and says that it has ended."""
    abort = Task.abort

    def lost(self: Task, status: int | None) -> bool:
        return self.state is State.RUNNING or abort(self, status)

    patch.setattr(Task, "abort", lost)


def answer_after_abort(patch: pytest.MonkeyPatch) -> None:
    """A command that was aborted in silence is answered all the same."""
    finish = Task.finish

    def answered(self: Task, status: int, sense: bytes) -> None:
        self.abort_status = None
        finish(self, 0 if status < 0 else status, sense)

    patch.setattr(Task, "finish", answered)


def stale_read_after_crash(patch: pytest.MonkeyPatch) -> None:
    """SYNCHRONIZE CACHE does nothing."""
    _handle(patch, "synchronize_cache", lambda self, task: None)


def forced_unit_access_ignored(patch: pytest.MonkeyPatch) -> None:
    """FUA is taken for a plain write."""
    write = Disk.write

    def plain(self: Disk, task: Task) -> Any:
        lba, blocks, _ = task.arguments
        task.arguments = lba, blocks, 0
        return write(self, task)

    _handle(patch, "write", plain)


def reservation_lost(patch: pytest.MonkeyPatch) -> None:
    """Registrations that must outlive the power are not saved."""
    patch.setattr(SavedState, "save", lambda self, state: None)


def ordered_task_overtaken(patch: pytest.MonkeyPatch) -> None:
    """ORDERED counts as SIMPLE."""
    admit = TaskSet.admit

    def unordered(self: TaskSet, task: Task) -> bool:
        if task.attribute == Attribute.ORDERED:
            task.attribute = Attribute.SIMPLE
        return admit(self, task)

    patch.setattr(TaskSet, "admit", unordered)


def session_never_ends(patch: pytest.MonkeyPatch) -> None:
    """A nexus that is closed while it has commands stays."""
    gone = Nexus._gone

    def stays(self: Nexus, then: Any) -> None:
        if not any(itl.commands_ended for itl in self.itls.values()):
            gone(self, then)

    patch.setattr(Nexus, "_gone", stays)


def serial_store_called_twice_at_once(patch: pytest.MonkeyPatch) -> None:
    """Jobs of a store that takes one call at a time do not wait for each other."""
    patch.setattr(Lane, "run", lambda self, function, args, done: self._workers.run(function, args, done))


def held_for_ever(patch: pytest.MonkeyPatch) -> None:
    """What a filter holds when it goes is forgotten."""
    patch.setattr(Filters, "go_on_at", lambda self, task, one: None)


def goes_on_during_a_pause(patch: pytest.MonkeyPatch) -> None:
    """What a filter lets go on runs although its logical unit is paused."""

    def at_once(self: Filters, task: Task, one: Any) -> None:
        if task.state is State.HELD:
            self._go_on(task, one)

    patch.setattr(Filters, "go_on_at", at_once)


PLANTS: tuple[Plant, ...] = (
    dropped_completion,
    double_completion,
    leaked_lease,
    write_acknowledged_early,
    lost_abort,
    answer_after_abort,
    stale_read_after_crash,
    forced_unit_access_ignored,
    reservation_lost,
    ordered_task_overtaken,
    session_never_ends,
    serial_store_called_twice_at_once,
    held_for_ever,
    goes_on_during_a_pause,
)
