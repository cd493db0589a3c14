"""The filter ``stats``: how many commands, how long, how much."""

from time import monotonic
from typing import Any

from tgtcore import CommandFilter, NoOptions, Task, action
from tgtcore.scsi.cdb import command_name
from tgtcore_filters.commands import transferred
from tgtcore_filters.commands.latency import Latency

NAMES_MAX = 128
"""Names of commands, or of initiators, that are told apart; what has another name counts as one of the rest."""

REST = "the rest"


class Tally:
    """Figures of commands that have something in common."""

    __slots__ = ("aborted", "bytes_in", "bytes_out", "count", "errors", "latency")

    def __init__(self) -> None:
        self.count = self.errors = self.aborted = self.bytes_in = self.bytes_out = 0
        self.latency = Latency()

    def add(self, task: Task, seconds: float) -> None:
        """Count one that has ended."""
        self.count += 1
        if task.abort_status is not None:
            self.aborted += 1
        elif task.status:
            self.errors += 1
        else:
            self.bytes_in += transferred.into(task)
            self.bytes_out += transferred.out(task)
        self.latency.add(seconds)

    def figures(self) -> dict[str, Any]:
        """As data."""
        counts = {name: getattr(self, name) for name in ("count", "errors", "aborted", "bytes_in", "bytes_out")}
        return {**counts, **self.latency.figures()}


class Tallies:
    """Figures by name, of a limited number of names."""

    def __init__(self) -> None:
        self._found: dict[str, Tally] = {}

    def add(self, name: str, task: Task, seconds: float) -> None:
        """Count one that has ended."""
        found = self._found.get(name)
        if found is None:
            found = self._found.setdefault(name if len(self._found) < NAMES_MAX else REST, Tally())
        found.add(task, seconds)

    def figures(self) -> dict[str, Any]:
        """As data."""
        return {name: tally.figures() for name, tally in sorted(self._found.items())}


class Stats(CommandFilter):
    """Counts every command that comes to the logical unit, by its name and by its initiator."""

    def __init__(self, options: NoOptions) -> None:
        super().__init__(options)
        self._clear()

    def _clear(self) -> None:
        self._commands, self._initiators = Tallies(), Tallies()
        self._since = monotonic()

    def ended(self, task: Task) -> None:
        """Count it."""
        seconds = monotonic() - task.since_s
        self._commands.add(command_name(task.cdb), task, seconds)
        self._initiators.add(task.nexus.initiator_port.name, task, seconds)

    @action("Begin again at 0.")
    def reset(self, _: NoOptions) -> dict[str, Any]:
        """Forget everything; what there was."""
        before = self.figures()
        self._clear()
        return before

    def figures(self) -> dict[str, Any]:
        """Everything."""
        return {
            "seconds": round(monotonic() - self._since, 3),
            "commands": self._commands.figures(),
            "initiators": self._initiators.figures(),
        }
