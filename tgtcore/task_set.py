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


class TaskSet:
    """Decides when tasks start.

    :param start: called with each task that had to wait, when its turn has come; raises nothing.
    """

    __slots__ = ("_enabled", "_enabled_barriers", "_releasing", "_start", "waiting")

    def __init__(self, start: Callable[[Task], None]) -> None:
        self._start = start
        self.waiting: deque[Task] = deque()
        """The dormant tasks, oldest first."""
        self._enabled = 0
        self._enabled_barriers = 0
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
        elif attribute == Attribute.HEAD_OF_QUEUE or not self:
            self._enabled += 1
            self._enabled_barriers += 1
            return True
        task.state = State.DORMANT
        task.dormant = True
        self.waiting.append(task)
        return False

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
            while self.waiting and not self._enabled_barriers:
                task = self.waiting[0]
                if task.attribute > _SIMPLE_MAX:
                    if self._enabled:
                        break
                    self._enabled_barriers += 1
                self.waiting.popleft()
                task.dormant = False
                self._enabled += 1
                self._start(task)
        finally:
            self._releasing = False
