"""The filters on commands of one logical unit: the row that each command goes along before it reaches the device type.

Nothing of this is on the way of commands to a logical unit without filters.  With some, the opcode table that its nexuses see leads
into the row; and what only watches is told where a command is stopped anyway if something may be in its way.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from tgtcore.command_filter import CommandFilter
from tgtcore.device import BoundCommand, CommandTable
from tgtcore.logical_unit.resuming import check_again, guarded, renew
from tgtcore.task import PENDING, State, Task

if TYPE_CHECKING:
    from tgtcore.logical_unit.unit import LogicalUnit
    from tgtcore.nexus import Nexus

_log = logging.getLogger(__name__)

Request = Callable[[CommandFilter, str], None]
"""Has an action of a filter done; see :meth:`~tgtcore.command_filter.CommandFilter.request`."""


class FilteredCommand(BoundCommand):
    """A command that goes along the row before its handler runs.

    :param inner: the command itself.
    :param handler: runs the rest of the row, then the command.
    """

    __slots__ = ("inner",)

    def __init__(self, inner: BoundCommand, handler: Callable[[Any, Task], Any]) -> None:
        super().__init__(inner.command, handler, inner.wants)
        self.inner = inner


class Filters:
    """The filters on commands of one logical unit, in the order in which commands meet them.

    :param request: does what a filter requests.
    :param loop: runs their timers.
    """

    def __init__(self, lu: "LogicalUnit", request: Request, loop: asyncio.AbstractEventLoop) -> None:
        self.lu = lu
        self.loop = loop
        self.present: tuple[CommandFilter, ...] = ()
        self.watching = False
        """Whether some want to know of every command that is accepted."""
        self.request = request
        self._places: dict[CommandFilter, Place] = {}
        self._row: tuple[CommandFilter, ...] = ()
        """Those that commands go through."""
        self._watchers: tuple[CommandFilter, ...] = ()

    def wrap(self, table: CommandTable) -> CommandTable:
        """An opcode table that leads along the row; the same, if nobody stands in the row."""
        if not self._row:
            return table
        return CommandTable([FilteredCommand(bound, self._run) for bound in table])

    def replace(self, filters: Sequence[CommandFilter]) -> None:
        """Have other filters from now on; those that stay keep what they hold, what the others hold goes on without them."""
        before = self.present
        leaving = [(one, self._following(one, filters)) for one in before if one not in filters]
        self.present = tuple(filters)
        self._row = tuple(one for one in filters if _defines(one, "command"))
        self._watchers = tuple(one for one in filters if _defines(one, "accepted") or _defines(one, "ended"))
        self.watching = bool(self._watchers)
        for one in filters:
            if one not in self._places:
                one.place = self._places[one] = Place(self, one)
        for one, following in leaving:
            place = self._places.pop(one)
            for task in tuple(place.held):
                self.go_on_at(task, following)

    def _following(self, leaving: CommandFilter, filters: Sequence[CommandFilter]) -> CommandFilter | None:
        """The first that commands meet behind one that leaves; None: the device type."""
        later = self.present[self.present.index(leaving) + 1 :]
        return next((one for one in later if one in filters and _defines(one, "command")), None)

    # ---- the way of a command ---------------------------------------------------------------------------------------

    def accepted(self, task: Task) -> None:
        """Tell those that watch of a command, whatever becomes of it."""
        for one in self._watchers:
            if _defines(one, "accepted"):
                self._tell(one, "accepted", task)
            if _defines(one, "ended"):
                task.when_ended(partial(self._tell, one, "ended", task))

    def _run(self, device: Any, task: Task) -> Any:
        return self._run_from(0, device, task)

    def _run_from(self, position: int, device: Any, task: Task) -> Any:
        """Let a task go along the row from some place on, then run its command."""
        for one in self._row[position:]:
            if one.command(task) is PENDING:
                return PENDING
        command = task.command = task.command.inner  # a device type that runs it again means the command alone
        return command.handler(device, task)

    def go_on_behind(self, one: CommandFilter, task: Task) -> None:
        """Let a task that a filter holds go on behind it."""
        row = self._row
        position = row.index(one) + 1 if one in row else len(row)
        self.go_on_at(task, row[position] if position < len(row) else None)

    def go_on_at(self, task: Task, one: CommandFilter | None) -> None:
        """Let a task that is held go on at a filter, or with its command; if the logical unit is paused, after that."""
        if task.state is not State.HELD:
            return
        pause = self.lu.pause
        if pause is not None:
            pause.go_on_later(partial(self.go_on_at, task, one))
            return
        guarded(task, self._go_on, task, one)

    def _go_on(self, task: Task, one: CommandFilter | None) -> None:
        renew(task)
        check_again(task)
        command = task.command
        inner = command.inner if isinstance(command, FilteredCommand) else command
        row = self._row
        position = row.index(one) if one in row else len(row)
        task.command = FilteredCommand(inner, partial(self._run_from, position))
        task.run_again()

    # ---- news ---------------------------------------------------------------------------------------------------------

    def nexus_lost(self, nexus: "Nexus") -> None:
        """Tell everyone that an initiator is gone."""
        for one in self.present:
            self._tell(one, "nexus_lost", nexus)

    def _tell(self, one: CommandFilter, event: str, news: Any) -> None:
        """What a filter raises when it is told something is logged: the command has nothing to do with it."""
        try:
            getattr(one, event)(news)
        except Exception:
            _log.exception("%s: %s() of filter %s failed", self.lu, event, type(one).__name__)


class Place:
    """Where one filter stands; see :class:`~tgtcore.command_filter.FilterPlace`."""

    def __init__(self, row: Filters, filter: CommandFilter) -> None:
        self.lu = row.lu
        self.held: dict[Task, asyncio.TimerHandle | None] = {}
        self._row = row
        self._filter = filter

    def hold(self, task: Task, seconds: float | None) -> None:
        """Keep a task; whatever ends it or lets it go on, it is not held any more."""
        assert task.state is State.RUNNING, f"{task} can't be held: it is {task.state.value}"
        task.state = State.HELD
        if task not in self.held:
            task.when_ended(partial(self._ended, task))
        timer = None
        if seconds is not None:
            timer = self._row.loop.call_later(seconds, self.go_on, task)
        self.held[task] = timer

    def go_on(self, task: Task) -> None:
        """Let a task go on behind the filter."""
        if self._forget(task):
            self._row.go_on_behind(self._filter, task)

    def answer(self, task: Task, status: int, sense: bytes) -> None:
        """End a task."""
        self._forget(task)
        if task.state is not State.ENDED:
            task.finish(status, sense)

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call a function, unless the filter has gone away by then."""
        self._row.loop.call_later(seconds, self._call, function)

    def request(self, action: str) -> None:
        """Have an action done."""
        self._row.request(self._filter, action)

    def _call(self, function: Callable[[], None]) -> None:
        if self._filter in self._row.present:
            function()

    def _ended(self, task: Task) -> None:
        self._forget(task)

    def _forget(self, task: Task) -> bool:
        """Hold a task no longer; whether it was held."""
        if task not in self.held:
            return False
        timer = self.held.pop(task)
        if timer is not None:
            timer.cancel()
        return True


def _defines(one: CommandFilter, method: str) -> bool:
    return getattr(type(one), method) is not getattr(CommandFilter, method)
