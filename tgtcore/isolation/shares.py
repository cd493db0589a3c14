"""Who waits for a place on the ring, and who may have one while places are scarce."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from tgtcore.task import Task

if TYPE_CHECKING:
    from tgtcore.isolation.remote_nexus import RemoteNexus
    from tgtcore.target import Target

Lun = tuple["Target", int]
"""A target and the LUN field of a command: as far as a driver can tell logical units apart."""
_NEXUSES_PER_TURN = 16
"""How many of the nexuses whose commands wait are looked at when a place becomes free."""


class Shares:
    """What the commands of each LUN hold, counted while places are scarce: none may have more than half of them.

    :param commands_max: a LUN that has so many commands under way must wait.
    :param bytes_max: and one that has so many bytes of the data area.
    :param held: what each command that is under way holds now: its LUN, and bytes.
    """

    def __init__(self, commands_max: int, bytes_max: int, held: Iterable[tuple[Lun, int]]) -> None:
        self._commands_max = commands_max
        self._bytes_max = bytes_max
        self._commands: dict[Lun, int] = {}
        self._bytes: dict[Lun, int] = {}
        for lun, size in held:
            self.add(lun, size)

    def full(self, lun: Lun) -> bool:
        """Whether a LUN has its share of either."""
        return self.all_commands(lun) or self.all_bytes(lun)

    def all_commands(self, lun: Lun) -> bool:
        """Whether a LUN has its share of commands."""
        return self._commands.get(lun, 0) >= self._commands_max

    def all_bytes(self, lun: Lun) -> bool:
        """Whether a LUN has its share of bytes."""
        return self._bytes.get(lun, 0) >= self._bytes_max

    def add(self, lun: Lun, size: int) -> None:
        """A command goes."""
        self._commands[lun] = self._commands.get(lun, 0) + 1
        self._bytes[lun] = self._bytes.get(lun, 0) + size

    def subtract(self, lun: Lun, size: int) -> int:
        """A command has ended; returns how many others of its LUN are under way."""
        self._commands[lun] -= 1
        self._bytes[lun] -= size
        return self._commands[lun]


class Waiting:
    """Commands for which there is no place now, oldest first; they wait for those of their own nexus only.

    A nexus whose first command is for a LUN that has its share is passed over until a command of that LUN ends.
    """

    def __init__(self) -> None:
        self.tasks: dict[RemoteNexus, dict[Task, None]] = {}
        """The commands by nexus; only to be looked at."""
        self._turns: dict[RemoteNexus, None] = {}
        self._passed_over: dict[Lun, dict[RemoteNexus, None]] = {}

    @property
    def passes_over(self) -> bool:
        """Whether anybody waits for a LUN that has its share."""
        return bool(self._passed_over)

    def has(self, nexus: "RemoteNexus", task: Task) -> bool:
        """Whether a command waits."""
        return task in self.tasks.get(nexus, ())

    def add(self, nexus: "RemoteNexus", task: Task, full: Lun | None) -> None:
        """A command waits.

        :param full: the LUN that has its share, where that is the reason.
        """
        tasks = self.tasks.get(nexus)
        if tasks is not None:
            tasks[task] = None
            return
        self.tasks[nexus] = {task: None}
        self._line_up(nexus, full)

    def withdraw(self, nexus: "RemoteNexus", chosen: Callable[[Task], bool]) -> list[Task]:
        """Take out those of the commands of a nexus that are chosen; the others have another turn."""
        tasks = self.tasks.get(nexus)
        if tasks is None:
            return []
        withdrawn = [task for task in tasks if chosen(task)]
        for task in withdrawn:
            del tasks[task]
        for lun in [lun for lun, nexuses in self._passed_over.items() if nexus in nexuses]:
            self._take_up(lun, nexus)
        if not tasks:
            del self.tasks[nexus]
            self._turns.pop(nexus, None)
        return withdrawn

    def ended(self, lun: Lun, others: int) -> None:
        """A command of a LUN has ended: one of those that were passed over because of it has a turn.

        :param others: commands of the LUN that are under way, whose ends will bring further turns; with none, all have one.
        """
        for nexus in list(self._passed_over.get(lun, ()))[: 1 if others else None]:
            self._take_up(lun, nexus)

    def turns(self) -> "Iterator[tuple[RemoteNexus, dict[Task, None]]]":
        """Some of the nexuses whose turn it is, each with its commands; what is left of them waits again by :meth:`again`."""
        for nexus in list(islice(self._turns, _NEXUSES_PER_TURN)):
            del self._turns[nexus]
            yield nexus, self.tasks[nexus]

    def again(self, nexus: "RemoteNexus", full: Lun | None) -> None:
        """A nexus has had its turn."""
        if self.tasks[nexus]:
            self._line_up(nexus, full)
        else:
            del self.tasks[nexus]

    def _line_up(self, nexus: "RemoteNexus", full: Lun | None) -> None:
        if full is None:
            self._turns[nexus] = None
        else:
            self._passed_over.setdefault(full, {})[nexus] = None

    def _take_up(self, lun: Lun, nexus: "RemoteNexus") -> None:
        nexuses = self._passed_over[lun]
        del nexuses[nexus]
        if not nexuses:
            del self._passed_over[lun]
        self._turns[nexus] = None
