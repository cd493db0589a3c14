"""The memory that a request limit promises: one slot for each information unit that an initiator may send."""

from collections.abc import Callable
from typing import Any

from tgtcore_srp.memory import Memory

RESERVE = 4
"""Slots that no request limit promises: for a request of the target on its way and for its answer, for a logout, and for one
request too many, which is answered all the same."""


class Slot:
    """Memory for one information unit, held from its arrival until its answer is on its way.

    :param memory: its bytes.
    :param returned: told when the answer is on its way.
    """

    __slots__ = ("_returned", "cookie", "view")

    def __init__(self, memory: bytearray, returned: "Callable[[Slot], None]") -> None:
        self.view = memoryview(memory)
        """Where the fabric puts the information unit."""
        self.cookie: Any = None
        """The fabric's own: what it needs to know to send the answer."""
        self._returned = returned

    def sent(self) -> None:
        """The answer is on its way for good; the initiator can't have seen it before."""
        self._returned(self)


class Slots:
    """The slots of one channel.

    :param iu_bytes_max: the size of each.
    """

    __slots__ = ("_iu_bytes_max", "_memory", "count", "free", "give")

    def __init__(self, memory: Memory, iu_bytes_max: int) -> None:
        self._memory = memory
        self._iu_bytes_max = iu_bytes_max
        self.count = 0
        self.free: list[Slot] = []
        """Those with nothing in them."""
        self.give = self.free.append
        """Take a slot back."""

    @property
    def used(self) -> int:
        """How many have an information unit in them whose answer is not on its way."""
        return self.count - len(self.free)

    def ensure(self, count: int) -> bool:
        """Have so many slots; False when there is no memory for them, and then there are none more than before."""
        more = count - self.count
        length = more * self._iu_bytes_max
        if more <= 0:
            return True
        if not self._memory.reserve(length):
            return False
        made = [self._memory.buffer(self._iu_bytes_max) for _ in range(more)]
        if None in made:
            self._memory.release(length)
            return False
        self.free += [Slot(memory, self.give) for memory in made if memory is not None]
        self.count = count
        return True

    def release(self) -> None:
        """Give the memory back: nobody uses any slot any more; idempotent."""
        self._memory.release(self.count * self._iu_bytes_max)
        self.count = 0
        self.free.clear()
