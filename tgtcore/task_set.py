"""The task set of an I_T_L nexus: which tasks may run now (SAM-5 clause 8).

SIMPLE tasks run side by side; an ORDERED task waits for everything older and holds back everything younger; a HEAD OF QUEUE task
runs at once and holds back what comes after it.  Each I_T nexus has a task set of its own (TST = 001b of the Control mode page):
an initiator that asks for order, and then is silent instead of sending its data, holds up nobody else.
"""

from collections import deque
from collections.abc import Callable

from tgtcore.task import Attribute, State, Task

_SIMPLE_MAX = Attribute.SIMPLE
"""UNTAGGED counts as SIMPLE (SAM-5 8.6.1)."""

_NOBODY: deque[Task] = deque()
"""Stands for the dormant tasks of every task set that has never had one: an empty deque takes 600 bytes."""


class TaskSet:
    """Decides when tasks start.

    :param start: called with each task that had to wait, when its turn has come; raises nothing.
    """

    __slots__ = ("_enabled", "_enabled_barriers", "_held", "_releasing", "_start", "waiting")

    def __init__(self, start: Callable[[Task], None]) -> None:
        self._start = start
        self.waiting = _NOBODY
        """The dormant tasks, oldest first."""
        self._enabled = 0
        self._enabled_barriers = 0
        self._held = False
        self._releasing = False

    def __len__(self) -> int:
        return self._enabled + len(self.waiting)

    def admit(self, task: Task) -> bool:
        """Take a new task in; True when it may start now, else it becomes dormant and ``start`` is called later."""
        attribute = task.attribute
        if attribute <= _SIMPLE_MAX:
            if not self._enabled_barriers and not self.waiting:
                self._enabled += 1
                return True
        elif not self._held and (attribute == Attribute.HEAD_OF_QUEUE or not len(self)):
            self._enabled += 1
            self._enabled_barriers += 1
            return True
        task.state = State.DORMANT
        task.dormant = True
        if self.waiting is _NOBODY:
            self.waiting = deque()
        if attribute == Attribute.HEAD_OF_QUEUE:
            self.waiting.appendleft(task)
        else:
            self.waiting.append(task)
        return False

    def hold(self) -> None:
        """Let no task start until :meth:`release`, not even at the head of the queue; those that have started go on."""
        assert not self._held
        self._held = True
        self._enabled_barriers += 1  # as if an ORDERED task were there, so that the way of a command need not ask

    def release(self) -> None:
        """End what :meth:`hold` began, and start whoever may run now."""
        self._held = False
        self._enabled_barriers -= 1
        self.go_on()

    def ended(self, task: Task) -> None:
        """Let a task that was started go; :meth:`go_on` when everybody knows of its end."""
        self._enabled -= 1
        if task.attribute > _SIMPLE_MAX:
            self._enabled_barriers -= 1

    def withdraw(self, task: Task) -> None:
        """Let a task go that was never started, for it is dormant; otherwise as :meth:`ended`."""
        self.waiting.remove(task)
        task.dormant = False

    def go_on(self) -> None:
        """Start whoever may run now."""
        if self._releasing:  # a task that ends while it is started: the loop below goes on
            return
        self._releasing = True
        try:
            while self.waiting and self._may_start(task := self.waiting[0]):
                if task.attribute > _SIMPLE_MAX:
                    self._enabled_barriers += 1
                self.waiting.popleft()
                task.dormant = False
                self._enabled += 1
                self._start(task)
        finally:
            self._releasing = False

    def _may_start(self, task: Task) -> bool:
        """Whether the oldest task that waits may start now; one at the head of the queue has only waited for :meth:`release`."""
        if task.attribute == Attribute.HEAD_OF_QUEUE:
            return not self._held
        return not self._enabled_barriers and (task.attribute <= _SIMPLE_MAX or not self._enabled)
