"""Who waits for a place on the ring, and who may have one while places are scarce."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from tgtcore.task import Task

if TYPE_CHECKING:
    from tgtcore.isolation.remote_nexus import RemoteNexus
    from tgtcore.target import Target

Lun = tuple["Target", int]
"""A target and the LUN field of a command: as far as a driver can tell logical units apart."""
_TURNS = 16
"""How many of the nexuses whose commands wait have a turn when a place becomes free."""
_K = TypeVar("_K")
_V = TypeVar("_V")


class Share:
    """What the commands of one LUN hold, counted while places are scarce: none may have more than it leaves to the others.

    So one whose store hangs ends up with half of everything, the next one with half of the rest: something is always left.
    """

    __slots__ = ("bytes", "commands", "lun")

    def __init__(self, lun: Lun) -> None:
        self.lun = lun
        self.commands = 0
        self.bytes = 0

    def all_commands(self, free: int) -> bool:
        """Whether the LUN has its share of commands.

        :param free: how many more may be under way.
        """
        return self.commands >= free and self.commands > 0

    def all_bytes(self, free: int) -> bool:
        """Whether the LUN has its share of bytes.

        :param free: those that nobody has.
        """
        return self.bytes >= free and self.bytes > 0

    def is_full(self, free_commands: int, free_bytes: int) -> bool:
        """Whether the LUN has its share of either."""
        return self.all_commands(free_commands) or self.all_bytes(free_bytes)

    def add(self, size: int) -> None:
        """A command goes, with so many bytes."""
        self.commands += 1
        self.bytes += size

    def subtract(self, size: int) -> None:
        """A command has ended."""
        self.commands -= 1
        self.bytes -= size


class Shares(dict[Lun, Share]):
    """The shares of the LUNs that have commands under way; of others, of which a peer may name any number, nothing is kept."""

    def of(self, lun: Lun) -> Share:
        """That of a LUN; one without commands has an empty one."""
        return self.get(lun) or Share(lun)

    def add(self, share: Share, size: int) -> None:
        """A command of the share's LUN goes, with so many bytes."""
        self[share.lun] = share
        share.add(size)

    def subtract(self, share: Share, size: int) -> None:
        """A command of the share's LUN has ended."""
        share.subtract(size)
        if not share.commands:
            del self[share.lun]


class Waiting:
    """Commands for which there is no place now, in lines: one for each nexus and LUN, oldest first.

    Nexuses have turns, and at its turn a nexus has one for one of its lines.  A line for a LUN that has its share is passed over
    until a command of that LUN ends, or the LUN has less than its share as others have left more; and one that begins with a large
    command, until the LUN has less than its share.

    :param large: whether a command has a place only where its LUN has less than its share.
    """

    def __init__(self, large: Callable[[Task], bool]) -> None:
        self.lines: dict[RemoteNexus, dict[Lun, dict[Task, None]]] = {}
        """The commands by nexus and LUN; only to be looked at."""
        self.in_turn: dict[RemoteNexus, dict[Lun, None]] = {}
        """The lines that are not passed over; only to be looked at."""
        self._large = large
        self._small_passed_over: dict[Lun, dict[RemoteNexus, None]] = {}
        self._large_passed_over: dict[Lun, dict[RemoteNexus, None]] = {}

    def has_line(self, nexus: "RemoteNexus", lun: Lun) -> bool:
        """Whether any command of a nexus waits for a LUN."""
        return lun in self.lines.get(nexus, ())

    def has(self, nexus: "RemoteNexus", lun: Lun, task: Task) -> bool:
        """Whether a command waits."""
        return self.has_line(nexus, lun) and task in self.lines[nexus][lun]

    def add(self, nexus: "RemoteNexus", lun: Lun, task: Task, *, full: bool) -> None:
        """A command waits.

        :param full: whether its LUN has its share.
        """
        lines = self.lines.setdefault(nexus, {})
        line = lines.get(lun)
        if line is None:
            lines[lun] = {task: None}
            self._line_up(nexus, lun, full=full)
        else:
            line[task] = None

    def withdraw(self, nexus: "RemoteNexus", chosen: Callable[[Task], bool]) -> list[Task]:
        """Take out those of the commands of a nexus that are chosen; what is left of their lines has another turn."""
        withdrawn: list[Task] = []
        for lun, line in list(self.lines.get(nexus, {}).items()):
            of_line = [task for task in line if chosen(task)]
            for task in of_line:
                del line[task]
            if of_line:
                withdrawn += of_line
                _discard(self._small_passed_over, lun, nexus)
                _discard(self._large_passed_over, lun, nexus)
                _discard(self.in_turn, nexus, lun)
                self.again(nexus, lun, full=False)
        return withdrawn

    def ended(self, lun: Lun, others: int, *, full: bool) -> None:
        """A command of a LUN has ended: of the lines that were passed over because of it, one of each kind has a turn.

        :param others: commands of the LUN that are under way, whose ends will bring further turns; with none, all have one.
        :param full: whether the LUN still has its share.
        """
        if lun in self._small_passed_over:
            self._turn_for(self._small_passed_over, lun, others)
        if lun in self._large_passed_over and not (full and others):
            self._turn_for(self._large_passed_over, lun, others)

    def look_again(self, is_full: Callable[[Lun], bool]) -> None:
        """A command of any LUN has ended: of the LUNs that are passed over, another one each time may be full no more by that.

        :param is_full: whether a LUN has its share.
        """
        for passed_over in (self._small_passed_over, self._large_passed_over):
            lun = next(iter(passed_over), None)
            if lun is None:
                continue
            if is_full(lun):
                passed_over[lun] = passed_over.pop(lun)  # behind the others
            else:
                self._turn_for(passed_over, lun, 1)

    def pass_over_nobody(self) -> None:
        """No LUN is full any more."""
        for passed_over in (self._small_passed_over, self._large_passed_over):
            for lun in list(passed_over):
                self._turn_for(passed_over, lun, 0)

    def _turn_for(self, passed_over: "dict[Lun, dict[RemoteNexus, None]]", lun: Lun, others: int) -> None:
        for nexus in list(passed_over[lun])[: 1 if others else None]:
            _discard(passed_over, lun, nexus)
            self._line_up(nexus, lun, full=False)

    def turns(self) -> "Iterator[tuple[RemoteNexus, Lun, dict[Task, None]]]":
        """Some of the lines whose turn it is; what is left of one waits again by :meth:`again`."""
        for nexus in list(islice(self.in_turn, _TURNS)):
            luns = self.in_turn.pop(nexus)
            lun = next(iter(luns))
            del luns[lun]
            if luns:
                self.in_turn[nexus] = luns  # behind the others
            yield nexus, lun, self.lines[nexus][lun]

    def again(self, nexus: "RemoteNexus", lun: Lun, *, full: bool) -> None:
        """A line has had its turn."""
        if self.lines[nexus][lun]:
            self._line_up(nexus, lun, full=full)
        else:
            del self.lines[nexus][lun]
            if not self.lines[nexus]:
                del self.lines[nexus]

    def _line_up(self, nexus: "RemoteNexus", lun: Lun, *, full: bool) -> None:
        if full:
            large = self._large(next(iter(self.lines[nexus][lun])))
            passed_over = self._large_passed_over if large else self._small_passed_over
            passed_over.setdefault(lun, {})[nexus] = None
        else:
            self.in_turn.setdefault(nexus, {})[lun] = None


def _discard(sets: dict[_K, dict[_V, None]], key: _K, value: _V) -> None:
    """Take a value out of the set of a key; a set that is empty goes too."""
    values = sets.get(key)
    if values is not None and value in values:
        del values[value]
        if not values:
            del sets[key]
