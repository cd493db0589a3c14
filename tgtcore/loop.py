"""Work beside the event loop: threads for calls that may block, whose results come back on the loop's thread.

The loop itself is asyncio's.  An executor hop through ``run_in_executor`` costs a Future and two context switches per
call; here a burst of results costs the loop one wake-up.
"""

import asyncio
import gc
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

Done = Callable[[Any, BaseException | None], None]
"""Called on the loop's thread with the job's result, or with the exception that it raised."""

_Job = tuple[Callable[..., Any], tuple[Any, ...], Done]


def _nothing_to_undo(result: Any) -> None:
    return


def _not_waited_for(result: Any, error: BaseException | None) -> None:
    if error is not None and not isinstance(error, asyncio.CancelledError):
        _log.warning("what nobody waited for any more has failed", exc_info=error)


_TURN_S = 0.01


class Turn:
    """A long piece of work on the loop's thread that lets others have their turn between its steps.

    The time is the loop's, which a simulation owns.
    """

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()

    async def over(self) -> None:
        """Call it after each step; the others run if this turn has been long enough."""
        if self._clock() - self._since > _TURN_S:
            await asyncio.sleep(0)
            self._since = self._clock()


async def in_turns(steps: Iterable[_T]) -> list[_T]:
    """The list of what takes long to make; others have their turn meanwhile, and may change what it is made from."""
    made, turn = [], Turn()
    with uncollected():
        for step in steps:
            made.append(step)
            await turn.over()
    return made


class _Collector:
    """Python's collector, which may have a rest for several at once."""

    def __init__(self) -> None:
        self._resting_for = 0
        self._was_enabled = False

    @contextmanager
    def resting(self) -> Iterator[None]:
        if not self._resting_for:
            self._was_enabled = gc.isenabled()
            gc.disable()
        self._resting_for += 1
        try:
            yield
        finally:
            self._resting_for -= 1
            if self._was_enabled and not self._resting_for:
                gc.enable()


uncollected = _Collector().resting
"""While much is made that stays or goes by itself, the collector would look through all of it again and again, and everybody waits
then.  For what takes a bounded time, on the loop's thread."""


class Runner(ABC):
    """Something that calls functions where they may block."""

    @abstractmethod
    def run(self, function: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        """Call ``function(*args)`` on some thread; then ``done(result, None)`` or ``done(None, error)`` on the loop."""

    def call(
        self, function: Callable[..., Any], *args: Any, undo: Callable[[Any], Any] = _nothing_to_undo
    ) -> asyncio.Future[Any]:
        """As :meth:`run`, as an awaitable, for the control path.

        :param undo: called on some thread with the result when the awaitable was cancelled meanwhile, so that nobody gets it.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def work() -> Any:
            result = function(*args)
            if future.cancelled():  # after a close this thread is the last one
                undo(result)
                raise asyncio.CancelledError
            return result

        def done(result: Any, error: BaseException | None) -> None:
            if future.cancelled():
                if error is None:
                    self.run(undo, (result,), _not_waited_for)
                else:
                    _not_waited_for(None, error)
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.run(work, (), done)
        return future


class Workers(Runner):
    """A fixed number of threads that run blocking calls.

    :param threads: how many; 0 < threads.
    :param loop: the loop on whose thread every ``done`` is called.
    """

    def __init__(self, threads: int, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._results: deque[tuple[Done, Any, BaseException | None]] = deque()
        self._woken = False
        self._threads = [
            threading.Thread(target=self._work, name=f"tgtcore-worker-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        """Call ``function(*args)`` on some thread; then ``done(result, None)`` or ``done(None, error)`` on the loop."""
        self._jobs.put((function, args, done))

    def close(self) -> None:
        """End the threads after the jobs that were already given; results that come later are dropped with the loop."""
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads to end, so long for all of them together; True when all have."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, args, done = job
            try:
                result, error = function(*args), None
            except BaseException as raised:  # whatever a plugin raises must reach its task
                result, error = None, raised
            self._results.append((done, result, error))
            del job, function, args, done, result, error
            if not self._woken:
                self._woken = True
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:
                    return  # the loop has closed: nobody is left to tell

    def _deliver(self) -> None:
        self._woken = False  # before the first look: a result that comes later wakes the loop again
        results = self._results
        for _ in range(len(results)):  # what comes meanwhile takes its turn after whatever else the loop has to do
            done, result, error = results.popleft()
            try:
                done(result, error)
            except Exception:  # a defect; the results behind it belong to others, who must not wait for ever
                _log.exception("%r could not take the result of a job", done)


class Lane(Runner):
    """Runs jobs one after the other on :class:`Workers`, for a store that allows only one call at a time."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._waiting: deque[_Job] = deque()
        self._running = False

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        """As :meth:`Workers.run`, in the order of the calls."""
        if self._running:
            self._waiting.append((function, args, done))
        else:
            self._start((function, args, done))

    def _start(self, job: _Job) -> None:
        function, args, done = job
        self._running = True

        def finished(result: Any, error: BaseException | None) -> None:
            self._running = False
            if self._waiting:
                self._start(self._waiting.popleft())
            done(result, error)

        self._workers.run(function, args, finished)
