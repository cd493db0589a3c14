"""What a command means to the model, from the moment when the target gets it to the moment when the target has ended it."""

from enum import Enum
from typing import TYPE_CHECKING

from sim.contents import Contents, Flush, Read, Write
from sim.medium import BLOCK_BYTES
from sim.registrations import Change

if TYPE_CHECKING:
    from sim.books import Book
    from sim.task import SimTask


class Outcome(Enum):
    """How a command has ended."""

    DONE = "done"
    NOTHING_HAPPENED = "nothing happened"
    PERHAPS = "perhaps"


class Effect:
    """Of a command that changes nothing that the model knows.

    :meth:`begin` and :meth:`end` are called once each, for a command that has reached a logical unit.
    """

    def __str__(self) -> str:
        return ""

    def begin(self, task: "SimTask", book: "Book") -> None:
        """The target has it."""

    def end(self, task: "SimTask", book: "Book", outcome: Outcome) -> str | None:
        """The target has ended it; what is wrong."""
        return None


class Reads(Effect):
    """Of a READ."""

    def __init__(self, lba: int, blocks: int) -> None:
        self.lba = lba
        self.blocks = blocks
        self._read: Read

    def __str__(self) -> str:
        return f"[{self.lba}..{self.lba + self.blocks - 1}]"

    def begin(self, task: "SimTask", book: "Book") -> None:
        self._read = book.contents.begin_read(self.lba, self.blocks)

    def end(self, task: "SimTask", book: "Book", outcome: Outcome) -> str | None:
        values: list[int] | None = None
        if outcome is Outcome.DONE:
            data = bytes(task.data_in or b"")  # type: ignore[arg-type]
            if len(data) != self.blocks * BLOCK_BYTES:
                book.contents.end_read(self._read, None)
                return f"{len(data)} bytes instead of {self.blocks} blocks"
            values = [_value(data[at : at + BLOCK_BYTES]) for at in range(0, len(data), BLOCK_BYTES)]
        return book.contents.end_read(self._read, values)


def _value(block: bytes) -> int:
    """What a block holds; -1 when it is not the same stamp all over."""
    stamp = block[:8]
    return int.from_bytes(stamp, "big") if block == stamp * (BLOCK_BYTES // 8) else -1


class Writes(Effect):
    """Of everything that writes.

    :param fua: whether it is durable when it is GOOD.
    """

    def __init__(self, lba: int, values: list[int], fua: bool = False) -> None:
        self.lba = lba
        self.values = values
        self.fua = fua
        self._write: Write
        self._through = False

    def __str__(self) -> str:
        values = f"{self.values[0]:x}" if self.values else "nothing"
        return f"[{self.lba}..{self.lba + len(self.values) - 1}] = {values}"

    def begin(self, task: "SimTask", book: "Book") -> None:
        self._write = book.contents.begin_write(self.lba, self.values)
        self._through = book.writes_through()

    def end(self, task: "SimTask", book: "Book", outcome: Outcome) -> str | None:
        _END_WRITE[outcome](book.contents, self._write, self.fua or (self._through and book.writes_through()))
        return None


def _perhaps(contents: Contents, write: Write, durable: bool) -> None:
    contents.perhaps_written(write)


def _not(contents: Contents, write: Write, durable: bool) -> None:
    contents.not_written(write)


def _done(contents: Contents, write: Write, durable: bool) -> None:
    contents.written(write, durable=durable)


_END_WRITE = {Outcome.DONE: _done, Outcome.NOTHING_HAPPENED: _not, Outcome.PERHAPS: _perhaps}


class ReadsAndWrites(Writes):
    """Of a COMPARE AND WRITE: when it is GOOD, the expected values were there."""

    def __init__(self, lba: int, values: list[int], *, expected: list[int]) -> None:
        super().__init__(lba, values)
        self._expected = expected
        self._read: Read

    def begin(self, task: "SimTask", book: "Book") -> None:
        self._read = book.contents.begin_read(self.lba, len(self._expected))
        super().begin(task, book)

    def end(self, task: "SimTask", book: "Book", outcome: Outcome) -> str | None:
        found = self._expected if outcome is Outcome.DONE else None
        wrong = book.contents.end_read(self._read, found)
        super().end(task, book, outcome)
        return wrong


class Compares(Reads):
    """Of a VERIFY: when it is GOOD, the expected values were there."""

    def __init__(self, lba: int, expected: list[int]) -> None:
        super().__init__(lba, len(expected))
        self._expected = expected

    def end(self, task: "SimTask", book: "Book", outcome: Outcome) -> str | None:
        return book.contents.end_read(self._read, self._expected if outcome is Outcome.DONE else None)


class Synchronizes(Effect):
    """Of a command that makes everything durable."""

    _flush: Flush

    def begin(self, task: "SimTask", book: "Book") -> None:
        self._flush = book.contents.begin_flush()

    def end(self, task: "SimTask", book: "Book", outcome: Outcome) -> str | None:
        book.contents.end_flush(self._flush, good=outcome is Outcome.DONE)
        return None


class Reserves(Effect):
    """Of a PERSISTENT RESERVE OUT."""

    def __init__(self, change: Change) -> None:
        self.change = change

    def __str__(self) -> str:
        change = self.change
        return f"{change.key:x} {change.service_key:x} {change.type.name} persist={change.persist}"

    def begin(self, task: "SimTask", book: "Book") -> None:
        book.changing.append(task)

    def end(self, task: "SimTask", book: "Book", outcome: Outcome) -> str | None:
        book.changing.remove(task)
        if outcome is not Outcome.NOTHING_HAPPENED:
            book.changed(task.nexus.identity, self.change, sure=outcome is Outcome.DONE)
        return book.compare()
