"""What each block of a medium may hold: a model of registers that commands read and write, some at the same time.

A command counts from when the target gets it until the target has ended it, which is stricter than what initiators see.
A write that failed on the way has happened to each block or not.  One that was refused has not.
"""

from dataclasses import dataclass, field

ZERO = 0
"""The value of a block of zeroes; every other value is that of one block of one write."""

Values = set[int]


@dataclass(eq=False, slots=True)
class Write:
    """A write under way: the values that it gives to blocks from ``first`` on."""

    first: int
    values: list[int]
    beside: list[Values] = field(init=False)
    """For each block the values of writes that have ended meanwhile: theirs may have come first or last."""

    def __post_init__(self) -> None:
        self.beside = [set() for _ in self.values]


@dataclass(eq=False, slots=True)
class Read:
    """A read under way: the values that it may find."""

    first: int
    allowed: list[Values]
    disturbed: list[bool]
    """Whether a write was under way beside it."""


@dataclass(eq=False, slots=True)
class Flush:
    """A flush under way: what may be durable when it has ended."""

    durable: list[Values]


class Contents:
    """The model of one medium.

    :param blocks: more than it ever has.
    """

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self._possible: list[Values] = [{ZERO} for _ in range(blocks)]
        self._durable: list[Values] = [{ZERO} for _ in range(blocks)]
        self._writes: list[Write] = []
        self._reads: list[Read] = []
        self._flushes: list[Flush] = []

    def possible(self, block: int) -> Values:
        """What a block may hold now, as far as writes have ended."""
        return self._possible[block]

    def _under_way(self, block: int) -> Values:
        return {
            write.values[block - write.first]
            for write in self._writes
            if write.first <= block < write.first + len(write.values)
        }

    # ---- writes -------------------------------------------------------------------------------------------------------

    def begin_write(self, first: int, values: list[int]) -> Write:
        """A write was accepted."""
        write = Write(first, values)
        self._writes.append(write)
        for block, value in enumerate(values, first):
            self._durable[block].add(value)
            for flush in self._flushes:
                flush.durable[block].add(value)
            self._disturb(block, value)
        return write

    def _disturb(self, block: int, value: int) -> None:
        for read in self._reads:
            at = block - read.first
            if 0 <= at < len(read.allowed):
                read.allowed[at].add(value)
                read.disturbed[at] = True

    def written(self, write: Write, *, durable: bool) -> None:
        """It was answered GOOD: whoever reads from now on finds it, or what was written beside it or later."""
        self._writes.remove(write)
        for at, value in enumerate(write.values):
            block = write.first + at
            self._beside(block, value)
            self._possible[block] = {value} | write.beside[at]
            if durable:
                self._durable[block] = self._possible[block] | self._under_way(block)

    def perhaps_written(self, write: Write) -> None:
        """It has ended in another way, after it may have begun."""
        self._writes.remove(write)
        for block, value in enumerate(write.values, write.first):
            self._beside(block, value)
            self._possible[block].add(value)

    def not_written(self, write: Write) -> None:
        """It was refused."""
        self._writes.remove(write)

    def _beside(self, block: int, value: int) -> None:
        for other in self._writes:
            at = block - other.first
            if 0 <= at < len(other.beside):
                other.beside[at].add(value)

    def cut(self, blocks: int) -> None:
        """Everything from a block on is gone, and will be zeroes when it is there again."""
        for block in range(blocks, self.blocks):
            self._beside(block, ZERO)
            self._disturb(block, ZERO)
            self._possible[block] = {ZERO}
            self._durable[block] = {ZERO} | self._under_way(block)
            for flush in self._flushes:
                flush.durable[block] = {ZERO} | self._under_way(block)

    # ---- reads --------------------------------------------------------------------------------------------------------

    def begin_read(self, first: int, count: int) -> Read:
        """A read was accepted."""
        allowed, disturbed = [], []
        for block in range(first, first + count):
            under_way = self._under_way(block)
            allowed.append(self._possible[block] | under_way)
            disturbed.append(bool(under_way))
        read = Read(first, allowed, disturbed)
        self._reads.append(read)
        return read

    def end_read(self, read: Read, values: list[int] | None) -> str | None:
        """A read has ended with values, or with nothing; what is wrong with them."""
        self._reads.remove(read)
        for at, value in enumerate(values or ()):
            block = read.first + at
            if value not in read.allowed[at]:
                return (
                    f"block {block} holds {value:x}, expected one of {sorted(f'{one:x}' for one in read.allowed[at])}"
                )
            if not read.disturbed[at]:
                self._possible[block] = {value}
        return None

    # ---- durability ---------------------------------------------------------------------------------------------------

    def begin_flush(self) -> Flush:
        """Something was asked for that makes everything durable that was written before."""
        flush = Flush([possible | self._under_way(block) for block, possible in enumerate(self._possible)])
        self._flushes.append(flush)
        return flush

    def end_flush(self, flush: Flush, *, good: bool) -> None:
        """It has ended."""
        self._flushes.remove(flush)
        if good:
            self._durable = flush.durable

    def crash(self) -> None:
        """Whatever was under way is gone; what was not durable may be gone."""
        self._possible = [set(durable) for durable in self._durable]
        self._writes.clear()
        self._reads.clear()
        self._flushes.clear()
