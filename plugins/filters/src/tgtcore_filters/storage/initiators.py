"""Who writes and who flushes: storage calls know nothing of initiators, so commands under way are watched beside them."""

from collections import deque
from collections.abc import Callable
from typing import Any

from tgtcore import Task
from tgtcore.scsi.status import Status

UNKNOWN = "unknown"
"""Stands for whoever has written what no command under way explains: a format, or the daemon itself."""

_INITIATORS_MAX = 256
"""Initiators that are remembered; beyond, those that have waited longest with nothing unflushed are forgotten."""

_SYNCHRONIZE_CACHE = frozenset((0x35, 0x91))
_READS = frozenset((0x08, 0x28, 0x88, 0xA8, 0x2F, 0x8F, 0xAF, 0x34, 0x90, 0x9E))
"""READ, VERIFY, PRE-FETCH and GET LBA STATUS: about blocks, and never the reason of a write."""


class Initiator:
    """What one initiator has done since the filter is here."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.writes = 0
        """Acknowledged or not, those that were made durable at once left out."""
        self.written_through = 0
        self.flushes = 0
        """SYNCHRONIZE CACHE commands that ended well."""
        self.unflushed_bytes = 0
        self.unflushed_since: deque[float] = deque()
        """Of each write in memory, the time that it came, the oldest first."""

    @property
    def never_flushed(self) -> bool:
        """Whether it relies on writes that nothing of what it did has made durable; of the unknown nothing can be said."""
        return self.writes > 0 and self.flushes == 0 and self.name != UNKNOWN

    def figures(self, now_s: float) -> dict[str, Any]:
        """As data that JSON can carry."""
        return {
            "writes": self.writes,
            "written_through": self.written_through,
            "flushes": self.flushes,
            "unflushed_writes": len(self.unflushed_since),
            "unflushed_bytes": self.unflushed_bytes,
            "oldest_s": round(now_s - self.unflushed_since[0], 3) if self.unflushed_since else 0,
        }


class Writer:
    """A command under way that may write."""

    __slots__ = ("acknowledged", "initiator", "ranges")

    def __init__(self, initiator: Initiator, ranges: tuple[tuple[int, int], ...]) -> None:
        self.initiator = initiator
        self.ranges = ranges
        """First byte and the one behind the last of each."""
        self.acknowledged = False
        """Whether the command has ended well."""

    def covers(self, offset: int, length: int) -> bool:
        """Whether a storage call may be its work."""
        return any(first <= offset and offset + length <= end for first, end in self.ranges)


class Initiators:
    """The initiators of one logical unit, and their commands under way.

    Commands come and end on the loop's thread; storage calls ask on any.
    """

    def __init__(self) -> None:
        self._under_way: dict[Task, Writer] = {}
        self._known: dict[str, Initiator] = {}
        self._nobody = Writer(Initiator(UNKNOWN), ())
        self._nobody.acknowledged = True

    def command(self, task: Task, device: Any) -> None:
        """A command is to run."""
        opcode = task.cdb[0]
        if opcode in _READS or task in self._under_way:
            return
        initiator = self._initiator(task.nexus.initiator_port.name)
        if opcode in _SYNCHRONIZE_CACHE:
            task.when_ended(self._counting(task, initiator))
        elif blocks := device.addressed(task):
            size = device.block_bytes
            ranges = tuple((one.start * size, one.stop * size) for one in blocks)
            self._under_way[task] = Writer(initiator, ranges)
            task.when_ended(self._ending(task))

    def _initiator(self, name: str) -> Initiator:
        found = self._known.pop(name, None) or Initiator(name)
        self._known[name] = found
        if len(self._known) > _INITIATORS_MAX:
            idle = next((one for one in self._known.values() if not one.unflushed_since and one is not found), found)
            del self._known[idle.name]
        return found

    def _counting(self, task: Task, initiator: Initiator) -> Callable[[], None]:
        def ended() -> None:
            initiator.flushes += _went_well(task)

        return ended

    def _ending(self, task: Task) -> Callable[[], None]:
        def ended() -> None:
            self._under_way.pop(task).acknowledged = _went_well(task)

        return ended

    def writer(self, offset: int, length: int) -> Writer:
        """Whose work a storage call is: of several commands that may be meant, the last one's."""
        for writer in reversed(tuple(self._under_way.values())):  # a copy that is made in one step: the loop goes on
            if writer.covers(offset, length):
                return writer
        return self._nobody

    def present(self) -> list[Initiator]:
        """Everyone who has written or flushed."""
        everyone = [*self._known.values(), self._nobody.initiator]
        return [one for one in everyone if one.writes or one.written_through or one.flushes]


def _went_well(task: Task) -> bool:
    return task.responds and task.status == Status.GOOD
