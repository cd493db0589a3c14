"""What an author of a filter on commands writes.

A filter on commands stands between the initiators of one logical unit and its device type: it may watch commands, hold them,
answer them itself or refuse them.  Several stand in a row, as the key ``filters`` of the logical unit lists them, and everything
happens on the loop's thread, so it must not block.  A logical unit without filters pays nothing for them.

A filter on storage calls is a :class:`~tgtcore.store.Filter`; a class may be both (``class Crash(Filter, CommandFilter)``), and
then one object sees the commands and the storage calls of its logical unit.

Test a filter on commands with :class:`tgtcore.testing.command_filter.CommandFilterConformance`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel

from tgtcore.actions import Operable
from tgtcore.options import NoOptions
from tgtcore.task import PENDING, Task

if TYPE_CHECKING:
    from tgtcore.logical_unit import LogicalUnit
    from tgtcore.nexus import Nexus


class FilterPlace(Protocol):
    """Where a filter on commands stands; the core's side of :class:`CommandFilter`."""

    lu: "LogicalUnit"
    held: "dict[Task, Any]"

    def hold(self, task: Task, seconds: float | None) -> None:
        """See :meth:`CommandFilter.hold`."""

    def go_on(self, task: Task) -> None:
        """See :meth:`CommandFilter.go_on`."""

    def answer(self, task: Task, status: int, sense: bytes) -> None:
        """See :meth:`CommandFilter.answer`."""

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """See :meth:`CommandFilter.later`."""

    def request(self, action: str) -> None:
        """See :meth:`CommandFilter.request`."""


class CommandFilter(Operable):
    """Watches, holds, answers or refuses the commands to one logical unit.  Made as ``cls(options)``, on a worker thread.

    Define those of :meth:`accepted`, :meth:`command`, :meth:`ended` and :meth:`nexus_lost` that are needed; the others are not
    called.
    """

    Options: ClassVar[type[BaseModel]] = NoOptions
    """The configuration keys of this filter, checked before it is made."""

    place: FilterPlace
    """Set by the core before the first command."""

    def __init__(self, options: BaseModel) -> None:
        self.options = options

    def accepted(self, task: Task) -> None:
        """A command has come, whatever becomes of it: it may be refused for a reservation, or have to wait for others."""

    def command(self, task: Task) -> Any:
        """A command is to run now, with all its data-out; it was checked as far as that goes before it runs.

        It may have come before this filter: then :meth:`accepted` and :meth:`ended` are not called for it.  Who has to know its end
        all the same asks for that: ``task.when_ended(...)``.

        Return None to let it go on, to the next filter or the device type; or ``self.hold(task)`` or ``self.answer(task, ...)``.
        What it raises ends the command as it would in a device type: :class:`~tgtcore.errors.CheckCondition`, ``OSError``, ...
        """

    def ended(self, task: Task) -> None:
        """A command has ended: see ``task.status``, ``task.sense`` and ``task.responds``.

        Called once for each that was accepted while this filter was there, also if it ends after the filter has gone: then perhaps
        after :meth:`close`.
        """

    def nexus_lost(self, nexus: "Nexus") -> None:
        """An initiator has logged out, or was lost, or has the logical unit no more."""

    def close(self) -> None:
        """The filter goes away; called once, on a worker thread.  What it holds goes on without it."""

    # ---- what it may do ---------------------------------------------------------------------------------------------

    @property
    def held(self) -> tuple[Task, ...]:
        """The commands that it holds now, oldest first."""
        return tuple(self.place.held)

    def hold(self, task: Task, seconds: float | None = None) -> Any:
        """Keep a command from going on, until :meth:`go_on` or for some seconds; return what this returns from :meth:`command`.

        Meanwhile it can be aborted, which ends it at once; nothing is told, it is not :attr:`held` any more.
        """
        self.place.hold(task, seconds)
        return PENDING

    def go_on(self, task: Task) -> None:
        """Let a command that is held go on, to the next filter or the device type; one that has ended is left alone."""
        self.place.go_on(task)

    def answer(self, task: Task, status: int, sense: bytes = b"") -> Any:
        """End a command that is held, or is to run now, with any status; return what this returns from :meth:`command`."""
        self.place.answer(task, status, sense)
        return PENDING

    def later(self, seconds: float, function: Callable[[], None]) -> None:
        """Have a function called on the loop's thread after some seconds, unless the filter has gone away by then."""
        self.place.later(seconds, function)

    def request(self, action: str) -> None:
        """Have an action of this filter done soon, with its defaults, as if somebody had asked for it; how it ends is logged."""
        self.place.request(action)
