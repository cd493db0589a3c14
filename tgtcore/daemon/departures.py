"""What is going away: each departure has a bounded time; one that needs longer goes on by itself, its door shut."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from tgtcore.daemon.audience import present_audience
from tgtcore.daemon.patience import Patience
from tgtcore.daemon.things import Thing
from tgtcore.errors import DrainTimeout, StoreError, TgtError
from tgtcore.leases import Holder

if TYPE_CHECKING:
    from tgtcore.daemon.compare import Step

_log = logging.getLogger(__name__)

_LOGOUT_S = 5
"""What the end may take after the deadline: the commands that are running, and the ends of sessions."""

_CLEANUP_S = 10.0
"""What a removal that was given up may take to clean up, before what hangs there is given up too."""

_PROGRESS_S = 1.0

Users = Callable[[], list[Holder]]
"""Asks who uses something."""


class Departure:
    """Something on its way out.

    :param patience: how long commands may take to end by themselves.
    :param users: asked for who still uses it.
    :param step: the change of the configuration that removes it; None: it is only drained.
    """

    def __init__(self, thing: Thing, patience: Patience, users: Users, step: "Step | None") -> None:
        self.thing = thing
        self.patience = patience
        self.users = users
        self.step = step
        self.waiting = 0
        """How many wait for its end."""
        self.succeeded = False
        """Whether something new has its name already."""
        self.task: asyncio.Task[None]

    @property
    def state(self) -> str:
        """In a word."""
        return "draining" if self.step is None else "going away"


class Departures:
    """Everything that is going away.

    :param drain_s: how long commands may take to end, where nobody says; asked anew each time.
    """

    def __init__(self, drain_s: Callable[[], float]) -> None:
        self._drain_s = drain_s
        self._under_way: dict[asyncio.Task[None], Departure] = {}
        self._of: dict[Thing, list[Departure]] = {}
        """The same by what goes away, the youngest last."""

    def __contains__(self, thing: Thing) -> bool:
        """Whether this is being removed and still there."""
        departure = self.of(thing)
        return departure is not None and departure.step is not None

    def __iter__(self) -> Iterator[Departure]:
        return iter([one for task, one in self._under_way.items() if not task.done()])

    def __len__(self) -> int:
        return len(list(iter(self)))

    @property
    def timeout_s(self) -> float:
        """How long something is waited for that takes no deadline."""
        return self._drain_s() + _LOGOUT_S

    def of(self, thing: Thing) -> Departure | None:
        """The departure of a thing; of several the youngest, since who is drained may have to go as well."""
        under_way = (one for one in reversed(self._of.get(thing, ())) if not one.task.done())
        return next((one for one in under_way if not one.succeeded), None)

    def succeed(self, thing: Thing) -> None:
        """There is a new thing of this name: it is not what goes away by the name until now."""
        for departure in self._of.get(thing, ()):
            departure.succeeded = True

    def begin(
        self,
        thing: Thing,
        leave: Callable[[Patience], Awaitable[None]],
        users: Users = list,
        *,
        deadline_s: float | None = None,
        step: "Step | None" = None,
        after: Iterator[Departure] | tuple[Departure, ...] = (),
    ) -> Departure:
        """Let something go away; it does whether anybody waits for it or not.

        :param leave: shuts its door, waits as long as patience lasts, then ends what is left.
        :param deadline_s: how long commands may take to end by themselves.
        :param after: what must have gone before this begins to.
        """
        former = self.of(thing)
        deadline_s = self._drain_s() if deadline_s is None else deadline_s
        if former is not None:
            former.patience.shorten(deadline_s)
        departure = Departure(thing, Patience(deadline_s), users, step)
        task = asyncio.ensure_future(_leaving(departure, leave, [one.task for one in after]))
        departure.task = task
        self._under_way[task] = departure
        self._of.setdefault(thing, []).append(departure)
        task.add_done_callback(self._gone)
        return departure

    async def wait(self, departure: Departure, at_most_s: float | None = None) -> None:
        """Wait for the end of a departure, until some time after its deadline.

        :param at_most_s: but no longer than this.
        :raises DrainTimeout: it is still in use; the departure goes on.
        :raises TgtError: it is gone, but not as it should be.
        """
        loop = asyncio.get_running_loop()
        since = loop.time()
        departure.waiting += 1
        try:
            while not departure.task.done():
                ends_at = max(departure.patience.ends_at, since) + _LOGOUT_S
                if at_most_s is not None:
                    ends_at = min(ends_at, since + at_most_s)
                left_s = ends_at - loop.time()
                if left_s <= 0:
                    raise _late(departure, loop.time() - since)
                await asyncio.wait({departure.task}, timeout=min(left_s, _PROGRESS_S))
                if not departure.task.done():
                    present_audience().tell(departure)
        finally:
            departure.waiting -= 1
        _raise_failure(departure)

    async def outcome(self, departures: list[Departure]) -> list[TgtError]:
        """Wait for several; what they complain of."""
        complaints: list[TgtError] = []
        for departure in departures:
            try:
                await self.wait(departure)
            except TgtError as error:
                _log.warning("%s", error)
                complaints.append(error)
        return complaints

    def hurry(self) -> None:
        """Nobody may take longer from now on than where nobody says."""
        for departure in self:
            departure.patience.shorten(self._drain_s())

    async def give_up(self) -> list[str]:
        """End every departure that is still under way; returns what was to go."""
        late = list(self)
        tasks = {departure.task for departure in late}
        while tasks:  # each cancellation ends one step of a removal; the next one may hang as well
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=_CLEANUP_S)
        return [f"{departure.thing}: its removal has not ended" for departure in late if departure.step is not None]

    def _gone(self, task: "asyncio.Task[None]") -> None:
        departure = self._under_way.pop(task)
        same = self._of[departure.thing]
        same.remove(departure)
        if not same:
            del self._of[departure.thing]
        departure.patience.close()
        if task.cancelled() or departure.waiting:
            return
        if task.exception() is None:
            _log.info("%s is %s now", departure.thing, "drained" if departure.step is None else "gone")
        else:
            _log.error("%s was not removed cleanly", departure.thing, exc_info=task.exception())


async def _leaving(
    departure: Departure, leave: Callable[[Patience], Awaitable[None]], before: "list[asyncio.Task[None]]"
) -> None:
    if before:
        await asyncio.wait(before)
    await leave(departure.patience)


def _late(departure: Departure, waited_s: float) -> DrainTimeout:
    holders = [str(holder) for holder in departure.users()]
    state = f"in use after {waited_s:.1f} s by: {', '.join(holders)}"
    if not holders:
        state = f"there after {waited_s:.1f} s, although nobody uses it: its store or its driver hangs"
    return DrainTimeout(f"{departure.thing} is still {state}", holders)


def _raise_failure(departure: Departure) -> None:
    task = departure.task
    if task.cancelled():
        raise DrainTimeout(f"{departure.thing} was not waited for to the end: it was reopened, or the daemon stops")
    error = task.exception()
    if error is None:
        return
    if isinstance(error, TgtError):
        raise error
    _log.error("%s was not removed cleanly", departure.thing, exc_info=error)
    raise StoreError(f"{departure.thing} was not removed cleanly: {type(error).__name__}: {error}") from error
