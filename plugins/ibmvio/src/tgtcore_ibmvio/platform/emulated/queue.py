"""Command/response queues in shared memory: whoever sends writes into the next slot, whoever receives empties it.

A slot of 16 bytes is free when its first byte is 0.  Bytes 8 to 15 of an element are written first, then bytes 0 to 7, at once; the
receiver makes the first byte 0 when it has read the element.  Both sides go round the slots in turn, and each keeps its place to
itself.  A receiver that is going to sleep says so in a word of the header page, and looks once more; a sender that finds it said so
takes the word back and rings the doorbell.

Nothing here believes the other side: whatever it writes, an element is 16 bytes, and a queue has an end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

from tgtcore_ibmvio.platform.contract import ELEMENT_BYTES
from tgtcore_ibmvio.platform.emulated.order import Barrier

_halves = Struct("=QQ").unpack


@dataclass
class Place:
    """Where a queue is.

    :param octets: the shared memory byte by byte; a slice is a copy.
    :param words: the same in words of 8 bytes.
    :param offset: where in it the queue begins, in bytes.
    :param length: of the queue, in bytes: two slots or more.
    :param waits: the word with which its receiver asks for the doorbell.
    """

    octets: Any
    words: Any
    offset: int
    length: int
    waits: int
    order: Barrier = field(default_factory=Barrier)

    @property
    def slots(self) -> int:
        """As many elements have room."""
        return self.length // ELEMENT_BYTES

    @property
    def end(self) -> int:
        """Where it ends, in bytes: the slot that would be there is the first one."""
        return self.offset + self.length


class Outgoing:
    """The sender's side of a queue.

    :param ring: rings the receiver's doorbell.
    """

    def __init__(self, place: Place, ring: Callable[[], None]) -> None:
        self._octets, self._words = place.octets, place.words
        self._waits, self._order = place.waits, place.order
        self._ring = ring
        self._begin, self._end = place.offset, place.end
        self._at = place.offset
        self._after = place.offset + ELEMENT_BYTES
        """The slot behind :attr:`_at`."""
        self._silent = False
        """Whether there is something that nobody was woken for."""

    def put(self, element: bytes) -> bool:
        """Send an element and wake the receiver; False: there is no free slot."""
        if not self.add(element, last=True):
            return False
        self.wake()
        return True

    def add(self, element: bytes, *, last: bool = False) -> bool:
        """Send an element of several: the receiver may sleep on, until :meth:`wake`.

        :param last: whether it may take the last free slot, which is left for an event else.
        :returns: False: there is no such slot.
        """
        at, after = self._at, self._after
        if self._octets[at if last else after]:
            return False
        word = at >> 3
        first, self._words[word + 1] = _halves(element)
        self._words[word] = first
        self._at = after
        after += ELEMENT_BYTES
        self._after = self._begin if after == self._end else after
        self._silent = True
        return True

    def wake(self) -> None:
        """Ring the doorbell if the receiver sleeps, and something was sent that it does not know of."""
        if not self._silent:
            return
        self._silent = False
        with self._order:
            pass  # what was sent is there before we look whether anybody sleeps
        if self._words[self._waits]:
            self._words[self._waits] = 0
            self._ring()


class Incoming:
    """The receiver's side of a queue."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._octets = place.octets
        self._begin, self._end = place.offset, place.end
        self._at = place.offset

    def take(self) -> bytes | None:
        """The next element, if there is one."""
        at = self._at
        octets = self._octets
        if not octets[at]:
            return None
        element: bytes = octets[at : at + ELEMENT_BYTES]
        octets[at] = 0
        at += ELEMENT_BYTES
        self._at = self._begin if at == self._end else at
        return element

    def ready(self) -> bool:
        """Whether there is an element."""
        return bool(self._octets[self._at])

    def doze(self) -> bool:
        """Ask for the doorbell; False: there is an element, so look again instead of waiting for it."""
        place = self.place
        place.words[place.waits] = 1
        with place.order:
            pass  # whoever sends now sees that we sleep, or we see what it has sent
        if not self._octets[self._at]:
            return True
        place.words[place.waits] = 0
        return False

    def discard(self) -> None:
        """Empty the queue, once round at most."""
        for _ in range(self.place.slots):
            if self.take() is None:
                return
