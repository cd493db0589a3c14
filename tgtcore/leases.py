"""Leases: who is using a thing right now, and how to wait until nobody is.

Whoever uses something that can be removed holds a lease on it.  All calls come from the loop's thread, so a lease costs
one dictionary entry.  A holder is any hashable object; ``str(holder)`` is shown to the user, so give it a good one.

Tasks come and go by the million, and what they use knows them anyway: they are its residents, whose leases cost nothing.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from tgtcore.errors import Draining, DrainTimeout

_T = TypeVar("_T")


class Resident(Hashable, Protocol):
    """A holder that neither takes nor gives its lease: it has one while its thing lists it."""

    @property
    def since_s(self) -> float:
        """When its lease began, by :func:`time.monotonic`."""

    def when_ended(self, told: Callable[[], None]) -> None:
        """Call ``told`` once the thing does not list it any more."""


class Job:
    """A holder that is nothing but what it does; two that do the same are two.

    :param what: as users are told.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __str__(self) -> str:
        return self._what


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
    :param residents: lists those who have a lease without taking it, oldest first.  Their thing looks at the door itself.
    :param door: called with whether the door is shut when that changes.
    """

    __slots__ = ("_clock", "_door", "_ends", "_held", "_residents", "draining", "what")

    def __init__(
        self,
        what: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        residents: Callable[[], Collection[Resident]] = tuple,
        door: Callable[[bool], None] = lambda shut: None,
    ) -> None:
        self.what = what
        self.draining = False
        """Whether the door is shut: no new lease is given."""
        self._clock = clock
        self._held: dict[Hashable, float] = {}
        self._residents = residents
        self._door = door
        self._ends: dict[Hashable, list[Callable[[], None]]] = {}
        """Who is to be told that a holder has given its lease back."""

    def __len__(self) -> int:
        return len(self._held) + len(self._residents())

    def __contains__(self, holder: Hashable) -> bool:
        return holder in self._held or holder in self._residents()

    def take(self, holder: Hashable) -> None:
        """Begin to use the thing.

        :raises Draining: the thing is going away.
        """
        if self.draining:
            raise self.refusal(holder)
        assert holder not in self._held, f"{holder} already holds a lease on {self.what}"
        self._held[holder] = self._clock()

    def refusal(self, holder: Hashable) -> Draining:
        """What a newcomer is told at the door."""
        return Draining(f"{self.what} is going away; {holder} may not start using it")

    def give(self, holder: Hashable) -> None:
        """End the use that :meth:`take` began; giving a lease back twice is a defect and asserted."""
        assert holder in self._held, f"{holder} gives back a lease on {self.what} that it does not hold"
        del self._held[holder]
        for told in self._ends.pop(holder, ()):
            told()

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
        self._move_door(shut=True)

    def open(self) -> None:
        """Give leases again; idempotent."""
        self._move_door(shut=False)

    def _move_door(self, *, shut: bool) -> None:
        self.draining = shut
        self._door(shut)

    def _everyone(self) -> list[tuple[float, Any]]:
        """Since when, and who; oldest first."""
        taken = [(since, holder) for holder, since in self._held.items()]
        return sorted([*taken, *((one.since_s, one) for one in self._residents())], key=itemgetter(0))

    def holders(self, chosen: Callable[[Any], bool] = lambda holder: True) -> list[Holder]:
        """Everyone who holds a lease, or those chosen among them, oldest first."""
        now = self._clock()
        return [Holder(str(holder), since, now - since) for since, holder in self._everyone() if chosen(holder)]

    def holders_of(self, kind: type[_T]) -> list[_T]:
        """The holders of one kind, as objects, oldest first."""
        return [holder for _, holder in self._everyone() if isinstance(holder, kind)]

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
        released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        awaited = None if holders is None else set(holders)
        remaining = 0

        def look() -> None:
            """Wait for those who are there, and then for who has come meanwhile."""
            nonlocal remaining
            if released.done():
                return
            there = self._there(awaited)
            remaining = len(there)
            for holder in there:
                self._when_given(holder, one_less)
            if not there:
                released.set_result(None)

        def one_less() -> None:
            nonlocal remaining
            remaining -= 1
            if not remaining:
                look()

        look()
        return released

    def _there(self, awaited: set[Hashable] | None) -> list[Any]:
        if awaited is None:
            return [*self._held, *self._residents()]
        there = [holder for holder in awaited if holder in self._held]
        if len(there) < len(awaited):
            there += [holder for holder in self._residents() if holder in awaited]
        return there

    def _when_given(self, holder: Any, told: Callable[[], None]) -> None:
        if holder in self._held:
            self._ends.setdefault(holder, []).append(told)
        else:
            holder.when_ended(told)
