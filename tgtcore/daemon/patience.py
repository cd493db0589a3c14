"""How long those who use something may take to let go by themselves, when it is to go away."""

import asyncio
from collections.abc import Sequence

from tgtcore.aborting import abort_all, told_all
from tgtcore.logical_unit import LogicalUnit
from tgtcore.task import Task


class Patience:
    """A deadline that can be moved to an earlier time, also while it is waited for.

    :param deadline_s: how long it lasts from now; 0: it is over at once.
    """

    def __init__(self, deadline_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self.ends_at = float("inf")
        """When it is over, by the loop's clock."""
        self.shorten(deadline_s)

    @property
    def left_s(self) -> float:
        """How long it still lasts."""
        return max(self.ends_at - self._loop.time(), 0.0)

    def shorten(self, deadline_s: float) -> None:
        """Let it end so many seconds from now, unless it ends before."""
        ends_at = self._loop.time() + deadline_s
        if ends_at >= self.ends_at:
            return
        self.ends_at = ends_at
        self.close()
        if deadline_s > 0:
            self._timer = self._loop.call_at(ends_at, self._end)
        else:
            self._end()

    async def covers(self, awaited: "asyncio.Future[None]", at_most_s: float | None = None) -> bool:
        """Wait for something as long as patience lasts.

        :param at_most_s: and no longer than this.
        :returns: whether it has come.
        """
        if not awaited.done():
            await asyncio.wait({awaited, self._over}, timeout=at_most_s, return_when=asyncio.FIRST_COMPLETED)
        return awaited.done()

    def close(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)


async def end_tasks(lu: LogicalUnit, tasks: Sequence[Task], patience: Patience) -> None:
    """Let tasks end by themselves; those left when patience is over are aborted.  Returns when the last has ended."""
    ended = lu.leases.released(tasks)
    try:
        if not await patience.covers(ended):
            abort_all(tasks, told_all, lambda: None)
        await ended
    finally:
        ended.cancel()
