"""A log of everything that was done to files, and what of it a disk may have when the power fails.

What a flush of a file has covered is there.  Of what came after it, any part may be: each write wholly, not at all or in some of
its sectors, each change of the file's size or not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from cow.bases import Base
from cow.history import SECTOR_BYTES

from tgtcore import Buffer

WRITE, UNMAP, RESIZE, FLUSH = "write", "unmap", "resize", "flush"


@dataclass(frozen=True)
class Event:
    """One call.

    :param file: which file, by number.
    :param at: offset, or the new size.
    """

    file: int
    kind: str
    at: int = 0
    data: bytes = b""
    length: int = 0

    def apply(self, content: bytearray) -> None:
        """Do it."""
        if self.kind == RESIZE:
            del content[self.at :]
            content.extend(bytes(self.at - len(content)))
        else:
            self._put(content, self.at, self.data if self.kind == WRITE else bytes(self.length))

    def apply_torn(self, content: bytearray, chance: Random) -> None:
        """Do it in some sectors only."""
        if self.kind != WRITE:
            self.apply(content)
            return
        at, end = self.at, self.at + len(self.data)
        while at < end:
            stop = min((at // SECTOR_BYTES + 1) * SECTOR_BYTES, end)
            if chance.random() < 0.5:
                self._put(content, at, self.data[at - self.at : stop - self.at])
            at = stop

    @staticmethod
    def _put(content: bytearray, at: int, data: bytes) -> None:
        if len(content) < at + len(data):  # the file had been made longer, which was lost
            content.extend(bytes(at + len(data) - len(content)))
        content[at : at + len(data)] = data


@dataclass
class Log:
    """What was done, in order, and what the files were before."""

    events: list[Event] = field(default_factory=list)
    before: list[bytes] = field(default_factory=list)

    def recorded(self, base: Base) -> "Recorded":
        """A file with the content of another one, whose calls are logged from now on."""
        self.before.append(bytes(base.content))
        return Recorded(base, self, len(self.before) - 1)

    def moments_of_choice(self) -> list[int]:
        """How many events were done when it was open what the disk has."""
        return [at + 1 for at, event in enumerate(self.events) if event.kind != FLUSH]

    def without(self, dropped: Iterable[int]) -> "Log":
        """The log of somebody who does not do some of it; the events keep their numbers."""
        events = list(self.events)
        for number in dropped:
            events[number] = Event(events[number].file, UNMAP)
        return Log(events, self.before)

    def with_epochs_exchanged(self) -> "Log":
        """The log of somebody who does what belongs behind a flush before it, and the other way round."""
        epochs: list[list[Event]] = [[]]
        flushes = []
        for event in self.events:
            if event.kind == FLUSH:
                flushes.append(event)
                epochs.append([])
            else:
                epochs[-1].append(event)
        for at in range(1, len(epochs) - 1, 2):
            epochs[at], epochs[at + 1] = epochs[at + 1], epochs[at]
        events = list(epochs[0])
        for flush, epoch in zip(flushes, epochs[1:], strict=True):
            events += [flush, *epoch]
        return Log(events, self.before)


class Recorded(Base):
    """Logs its calls."""

    def __init__(self, base: Base, log: Log, number: int) -> None:
        super().__init__(base.content, room_bytes=base.room_bytes, ready=base.ready)
        self._log = log
        self._number = number

    def _add(self, kind: str, at: int = 0, data: bytes = b"", length: int = 0) -> None:
        self._log.events.append(Event(self._number, kind, at, data, length))

    def write(self, offset: int, data: Buffer) -> None:
        """Done and logged."""
        super().write(offset, data)
        self._add(WRITE, offset, bytes(data))

    def unmap(self, offset: int, length: int) -> None:
        """Done and logged."""
        super().unmap(offset, length)
        self._add(UNMAP, offset, length=length)

    def resize(self, size_bytes: int) -> None:
        """Done and logged."""
        super().resize(size_bytes)
        self._add(RESIZE, size_bytes)

    def flush(self) -> None:
        """Logged."""
        super().flush()
        self._add(FLUSH)


class Disk:
    """What a disk may have after part of a log."""

    def __init__(self, log: Log) -> None:
        self._events = log.events
        self._durable = [bytearray(content) for content in log.before]
        self._pending: list[Event] = []
        self.done = 0
        """Events until now."""

    @classmethod
    def after(cls, log: Log) -> "Disk":
        """After all of it."""
        disk = cls(log)
        while disk.step():
            pass
        return disk

    def step(self) -> bool:
        """One event more; returns whether there was one."""
        if self.done == len(self._events):
            return False
        event = self._events[self.done]
        self.done += 1
        if event.kind != FLUSH:
            self._pending.append(event)
            return True
        for one in self._pending:
            if one.file == event.file:
                one.apply(self._durable[one.file])
        self._pending = [one for one in self._pending if one.file != event.file]
        return True

    def everything(self) -> list[bytearray]:
        """The files if the disk has all until now."""
        contents = [content[:] for content in self._durable]
        for event in self._pending:
            event.apply(contents[event.file])
        return contents

    def chosen(self, chance: Random) -> list[bytearray]:
        """The files if the disk has what it must, and of the rest what happens to be there."""
        contents = [content[:] for content in self._durable]
        share = chance.choice((0.1, 0.5, 0.9))
        torn = chance.choice((0.0, 0.3))
        for event in self._pending:
            if chance.random() < torn:
                event.apply_torn(contents[event.file], chance)
            elif chance.random() < share:
                event.apply(contents[event.file])
        return contents
