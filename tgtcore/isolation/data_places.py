"""Where data-out goes that commands have asked for, so that one LUN's commands can never take every place."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator

from tgtcore.ring.area import Area

_HALVES = 2


class Home:
    """The half in which a LUN has places, as long as it has any."""

    def __init__(self, area: Area, left: Callable[[], object]) -> None:
        self.area = area
        self.held_bytes = 0
        self._left = left

    def take(self, length: int) -> tuple[int, int] | None:
        """A place of at least so many bytes, as offset and size; None: there is none now."""
        place = self.area.take(length)
        if place is not None:
            self.held_bytes += place[1]
        return place

    def give(self, offset: int, size: int) -> None:
        """A place is free again."""
        self.area.give(offset, size)
        self.held_bytes -= size
        if not self.held_bytes:
            self._left()


Held = tuple[Home, tuple[int, int]]
"""A place, and where to give it back."""


class DataPlaces:
    """Deals out a part of the data area to the data-out of commands, LUN by LUN.

    All that one LUN has is in one half; it may have the other one when it has let go of everything.  So the commands of a LUN
    whose store hangs fill one half at most, and those of all others get through the other; there, a LUN that has as much as it
    leaves gets no more either, so that several that hang leave something.  Within a half nobody overtakes who waits longer, lest
    large ones wait for ever; LUNs take turns.

    :param size: bytes to deal out.
    :param start: where they begin in the data area.
    """

    def __init__(self, size: int, start: int) -> None:
        half = size // _HALVES
        self._areas = [Area(half, start + number * half) for number in range(_HALVES)]
        self._homes: dict[Hashable, Home] = {}
        self._waiting: dict[Hashable, deque[tuple[int, int]]] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    @property
    def largest_bytes(self) -> int:
        """The largest place that there can be."""
        return self._areas[0].largest_bytes

    def want(self, lun: Hashable, request_id: int, length: int) -> None:
        """A command waits for a place; :meth:`served` gives it one."""
        self._waiting.setdefault(lun, deque()).append((request_id, length))

    def served(self, waits: Callable[[int], bool]) -> Iterator[tuple[int, Held]]:
        """The commands for which there are places now, each with its place.

        :param waits: whether a command still wants one.
        """
        served = True
        while served:
            served = False
            blocked: set[Area] = set()
            for lun in list(self._waiting):
                queue = self._waiting[lun]
                while queue and not waits(queue[0][0]):
                    queue.popleft()
                held = self._take(lun, queue[0][1], blocked) if queue else None
                if held is not None:
                    served = True
                    request_id, _ = queue.popleft()
                    del self._waiting[lun]
                    if queue:
                        self._waiting[lun] = queue  # behind the others
                    yield request_id, held
                elif not queue:
                    del self._waiting[lun]
                elif len(blocked) == _HALVES:
                    break

    def _take(self, lun: Hashable, length: int, blocked: set[Area]) -> Held | None:
        """A place; None: there is none, and nobody who comes later may have one where this one waits."""
        home = self._homes.get(lun)
        if home is not None and home.held_bytes >= sum(area.free_bytes for area in self._areas):
            return None  # it waits for itself, and keeps nobody waiting
        emptier = sorted(self._areas, key=lambda area: -area.free_bytes)
        homes = [home] if home is not None else [Home(area, lambda: self._homes.pop(lun)) for area in emptier]
        for chosen in homes:
            place = chosen.take(length) if chosen.area not in blocked else None
            if place is not None:
                self._homes[lun] = chosen
                return chosen, place
        blocked.update(chosen.area for chosen in homes)
        return None
