"""Workers without threads: jobs begin in order, take a random time and end in any order."""

from collections import deque
from collections.abc import Callable
from typing import Any, cast

from sim.loop import SimLoop

from tgtcore.loop import Done, Workers


class Job:
    """One call that may block.

    It has its effect at one moment, except for what it left to :attr:`late`, and returns at a later one.
    """

    __slots__ = ("args", "done", "error", "function", "late", "result", "stores")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        self.function = function
        self.args = args
        self.done = done
        self.result: Any = None
        self.error: BaseException | None = None
        self.late: list[Callable[[], None]] = []
        """What it does right before it returns."""
        self.stores: list[Any] = []
        """Stores that it is busy in."""


class SimWorkers(Workers):
    """As :class:`~tgtcore.loop.Workers`, on the virtual clock of a :class:`SimLoop`."""

    def __init__(self, threads: int, loop: Any) -> None:
        self._sim = cast(SimLoop, loop)
        self._loop = loop
        self._environment = self._sim.environment
        self._idle = self._size = threads
        self._closed = False
        self._queue: deque[Job] = deque()

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        if not self._closed:  # else there is no thread that would come to it
            self._queue.append(Job(function, args, done))
            self._begin()

    def close(self) -> None:
        self._closed = True

    def join(self, timeout_s: float) -> bool:
        """Whether all threads have ended; called when the time is over."""
        return self._idle == self._size and not self._queue

    def _begin(self) -> None:
        while self._queue and self._idle:
            self._idle -= 1
            self._sim.call_later(self._environment.faults.job_s(), self._act, self._queue.popleft())

    def _act(self, job: Job) -> None:
        self._environment.job = job
        try:
            job.result = job.function(*job.args)
        except BaseException as raised:
            job.error = raised
        finally:
            self._environment.job = None
        self._sim.call_later(self._environment.faults.job_s(), self._return, job)

    def _return(self, job: Job) -> None:
        for late in job.late:
            late()
        for store in job.stores:
            store.left(job)
        self._idle += 1
        self._begin()
        try:
            job.done(job.result, job.error)
        except Exception as error:
            self._environment.fail(f"{job.done!r} could not take the result of a job: {error!r}")
