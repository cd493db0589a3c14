"""What the filters that do wrong to writes have in common."""

from abc import abstractmethod
from typing import Literal

from tgtcore import Buffer
from tgtcore_filters.storage.faulty import Faulty

How = Literal["write", "write_through"]
"""The method that was called."""


class FaultyWrites(Faulty):
    """Does something wrong to chosen writes, written through or not; zeroing and unmapping go on as they are."""

    @abstractmethod
    def mistreat(self, strike: int, how: How, offset: int, data: Buffer) -> None:
        """What becomes of a write that was chosen."""

    def write(self, offset: int, data: Buffer) -> None:
        """As in the contract, if it is not chosen."""
        self._write("write", offset, data)

    def write_through(self, offset: int, data: Buffer) -> None:
        """As in the contract, if it is not chosen."""
        self._write("write_through", offset, data)

    def _write(self, how: How, offset: int, data: Buffer) -> None:
        strike = self.strike(offset, len(data))
        if strike:
            self.mistreat(strike, how, offset, data)
        else:
            getattr(self.base, how)(offset, data)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """Only what can't be chosen: a write that is not done at once is tried again, and must not count twice."""
        return not self.ranges.touch(offset, len(data)) and self.base.write_nowait(offset, data)
