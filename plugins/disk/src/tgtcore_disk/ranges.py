"""Range locks: COMPARE AND WRITE and its like are atomic against commands that write or read the same blocks (SBC-4 5.3).

Two ways to read stay out of this.  VERIFY takes its range only to compare all blocks with data-out (BYTCHK 01b); else it may go on
over the whole medium.  A READ that is answered with a range of a file has ended before that is sent: what is written until then may
be in the answer, whole or in part.

Commands that run to their end on the loop's thread are atomic by themselves.  Only commands that are busy on a worker hold
their range: shared (reads and writes), or alone (read-modify-write).  A command that meets a range held in a way that excludes
it waits here, in order of arrival, and is then run again from its beginning.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

from tgtcore import Task

_log = logging.getLogger(__name__)


class _Range(NamedTuple):
    first: int
    end: int
    alone: bool

    def excludes(self, other: "_Range") -> bool:
        return self.first < other.end and other.first < self.end and (self.alone or other.alone)


class Ranges:
    """The ranges of one logical unit's medium that are in use; positions are in bytes.

    :param again: runs the command of a task whose range has come free.
    :param told: called with :attr:`contended` when that may have changed.
    """

    __slots__ = ("_again", "_alone", "_held", "_released", "_releasing", "_told", "_waiting")

    def __init__(self, again: Callable[[Task], None], told: Callable[[bool], None]) -> None:
        self._again = again
        self._told = told
        self._held: dict[Task, _Range] = {}
        self._waiting: dict[Task, _Range] = {}
        self._alone = 0
        self._released = self._releasing = False

    def __len__(self) -> int:
        return len(self._held) + len(self._waiting)

    @property
    def contended(self) -> bool:
        """Whether any command is alone in its range or waits; while it is False, no shared use can be in anyone's way."""
        return bool(self._alone or self._waiting)

    def admit(self, task: Task, first: int, end: int, *, alone: bool = False) -> bool:
        """Whether the task may use a range now; if not, it waits and is run again later."""
        if task in self._held:
            return True
        wanted = _Range(first, end, alone)
        if not self._excluded(wanted, self._waiting):
            return True
        self._waiting[task] = wanted
        self._told(True)
        return False

    def hold(self, task: Task, first: int, end: int, *, alone: bool = False) -> None:
        """The task uses a range until it ends; it was admitted before."""
        if task not in self._held:
            self._take(task, _Range(first, end, alone))

    def _excluded(self, wanted: _Range, waiting: dict[Task, _Range]) -> bool:
        return any(held.excludes(wanted) for held in self._held.values()) or any(
            earlier.excludes(wanted) for earlier in waiting.values()
        )

    def _take(self, task: Task, taken: _Range) -> None:
        self._held[task] = taken
        if taken.alone:
            self._alone += 1
            self._told(True)
        task.when_ended(lambda: self._release(task))

    def _release(self, task: Task) -> None:
        if self._held.pop(task).alone:
            self._alone -= 1
        self._released = True
        if self._releasing:  # by a waiter that ended at once: the loop below goes on, however many of them there are
            return
        self._releasing = True
        try:
            while self._released:
                self._released = False
                for waiter in self._admitted():
                    self._run(waiter)
        finally:
            self._releasing = False

    def _run(self, waiter: Task) -> None:
        try:
            self._again(waiter)
        except Exception:  # a defect; those behind it have their ranges, and must run to give them back
            _log.exception("%s could not go on when its range came free", waiter)

    def _admitted(self) -> list[Task]:
        """The waiters whose ranges have come free; they have them now."""
        admitted = []
        still: dict[Task, _Range] = {}
        for waiter, wanted in self._waiting.items():
            if self._excluded(wanted, still):
                still[waiter] = wanted
            else:
                self._take(waiter, wanted)
                admitted.append(waiter)
        self._waiting = still
        self._told(self.contended)
        return admitted
