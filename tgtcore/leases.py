"""Leases: who is using a thing right now, and how to wait until nobody is.

Whoever uses something that can be removed holds a lease on it.  All calls come from the loop's thread, so a lease costs
one dictionary entry.  A holder is any hashable object; ``str(holder)`` is shown to the user, so give it a good one.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tgtcore.errors import Draining, DrainTimeout

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Holder:
    """One lease as shown to people: who holds it, and for how long already.

    Seen twice, it is the same one with another age.
    """

    name: str
    since_s: float
    """By the clock of its thing."""
    age_s: float = field(compare=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.age_s:.1f} s)"


class Leases:
    """The leases on one thing.

    :param what: the thing's name as its user knows it; it begins every message.
    :param clock: seconds, monotonic; a parameter so that tests own the time.
    """

    __slots__ = ("_clock", "_door_shut", "_held", "_waiters", "what")

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.what = what
        self._clock = clock
        self._held: dict[Hashable, float] = {}
        self._door_shut = False
        self._waiters: list[tuple[asyncio.Future[None], set[Hashable] | None]] = []

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, holder: Hashable) -> bool:
        return holder in self._held

    @property
    def draining(self) -> bool:
        """Whether the door is shut: no new lease is given."""
        return self._door_shut

    def take(self, holder: Hashable) -> None:
        """Begin to use the thing.

        :raises Draining: the thing is going away.
        """
        if self._door_shut:
            raise Draining(f"{self.what} is going away; {holder} may not start using it")
        assert holder not in self._held, f"{holder} already holds a lease on {self.what}"
        self._held[holder] = self._clock()

    def give(self, holder: Hashable) -> None:
        """End the use that :meth:`take` began; giving a lease back twice is a defect and asserted."""
        assert holder in self._held, f"{holder} gives back a lease on {self.what} that it does not hold"
        del self._held[holder]
        if self._waiters:
            self._wake(holder)

    @contextmanager
    def lease(self, holder: Hashable) -> Iterator[None]:
        """Use the thing for the time of a ``with`` block."""
        self.take(holder)
        try:
            yield
        finally:
            self.give(holder)

    def shut(self) -> None:
        """Give no new leases; idempotent."""
        self._door_shut = True

    def open(self) -> None:
        """Give leases again; idempotent."""
        self._door_shut = False

    def holders(self, chosen: Callable[[Any], bool] = lambda holder: True) -> list[Holder]:
        """Everyone who holds a lease, or those chosen among them, oldest first."""
        now = self._clock()
        return [Holder(str(holder), since, now - since) for holder, since in self._held.items() if chosen(holder)]

    def holders_of(self, kind: type[_T]) -> list[_T]:
        """The holders of one kind, as objects, oldest first."""
        return [holder for holder in self._held if isinstance(holder, kind)]

    async def drain(self, timeout_s: float | None) -> None:
        """Shut the door and wait until the last lease is given back; with None, however long that takes.

        :raises DrainTimeout: after ``timeout_s`` seconds; the message names every holder.  The door stays shut.
        """
        self.shut()
        try:
            await asyncio.wait_for(self.released(), timeout_s)
        except TimeoutError:
            holders = [str(holder) for holder in self.holders()]
            raise DrainTimeout(
                f"{self.what} is still in use after {timeout_s:g} s by: {', '.join(holders)}", holders
            ) from None

    def released(self, holders: Iterable[Hashable] | None = None) -> asyncio.Future[None]:
        """A future that is done as soon as none of these holders has a lease any more; without holders, nobody at all.

        Cancel it when nobody waits any more.
        """
        loop = asyncio.get_running_loop()
        released: asyncio.Future[None] = loop.create_future()
        awaited = None if holders is None else {holder for holder in holders if holder in self._held}
        if self._held if awaited is None else awaited:
            waiter = released, awaited
            self._waiters.append(waiter)
            released.add_done_callback(lambda _: self._waiters.remove(waiter))
        else:
            released.set_result(None)
        return released

    def _wake(self, holder: Hashable) -> None:
        for released, awaited in self._waiters:
            if awaited is not None:
                awaited.discard(holder)
            if not released.done() and not (self._held if awaited is None else awaited):
                released.set_result(None)
