"""Both ends of a ring: one page that front end and back end share (``xen/include/public/io/ring.h``).

Requests and responses lie in the same slots.  Each end counts what it has taken and put in indexes of its own and only ever
compares them with what the other has written.

Memory order: an index is read and written as one aligned 32-bit word (a cast memoryview does that; ``struct`` would write single
bytes).  Where the protocol asks for a barrier, a lock is taken and given back.  On x86 that is an atomic instruction, which nothing
passes.  Elsewhere (ARM) it is done twice: a release followed by an acquire keeps what is before the one from what is behind the
other, which the end of the first and the beginning of the second are.
"""

import platform
from threading import Lock

from tgtcore_xen.vscsiif.errors import RingBroken
from tgtcore_xen.vscsiif.layout import (
    HEADER_BYTES,
    INDEX_MASK,
    PAGE_BYTES,
    REQUEST_EVENT,
    REQUEST_PRODUCER,
    RESPONSE_EVENT,
    RESPONSE_PRODUCER,
    SLOT_BYTES,
    SLOTS,
)

_NEXT, _NOT_NOW = 1, 1 << 31
"""How far beyond what the back end has taken it wants to be notified: of the next request, or of none while it is at work."""

_order = Lock()
_SLOT = SLOTS - 1


def _once() -> None:
    with _order:
        pass


def _twice() -> None:
    _once()
    _once()


_barrier = _once if platform.machine() in ("x86_64", "i686") else _twice


class _End:
    """What both ends do alike: one's requests are the other's responses.

    :param view: the page, writable.
    :param out: the words that say how much this end has put, and when the other wants to be told of that.
    :param in_: the same for the way back.
    """

    __slots__ = ("_in", "_in_event", "_out", "_out_event", "_published", "_slots", "_words", "consumer", "producer")

    def __init__(self, view: memoryview, out: tuple[int, int], in_: tuple[int, int]) -> None:
        assert len(view) == PAGE_BYTES
        self._words = view[:HEADER_BYTES].cast("I")
        starts = range(HEADER_BYTES, HEADER_BYTES + SLOTS * SLOT_BYTES, SLOT_BYTES)
        self._slots = [view[start : start + SLOT_BYTES] for start in starts]
        self._out, self._out_event = out
        self._in, self._in_event = in_
        self.consumer = 0
        """How many it has taken, as an index."""
        self.producer = 0
        """How many it has put, published or not, as an index."""
        self._published = 0

    def _most(self) -> int:
        """How many there can be at most that were put by the other end and not taken yet."""
        raise NotImplementedError

    def take(self) -> list[bytes]:
        """Copy what the other end has put, oldest first.

        :raises RingBroken: its index can't be; nothing was taken.
        """
        consumer = self.consumer
        produced = self._words[self._in]
        count = (produced - consumer) & INDEX_MASK
        if not count:
            return []
        most = self._most()
        if count > most:
            raise RingBroken(
                f"the other end says that it has put {count} in the ring beyond index {consumer}, expected {most} at most"
            )
        _barrier()  # no slot is read before the index
        self.consumer = produced
        slots = self._slots
        return [bytes(slots[at & _SLOT]) for at in range(consumer, consumer + count)]

    def put(self, *slots: bytes) -> None:
        """Put some, at which the other end may look once they are published; there is room for them."""
        places, at = self._slots, self.producer
        for slot in slots:
            places[at & _SLOT][:] = slot
            at += 1
        self.producer = at & INDEX_MASK

    def publish(self) -> bool:
        """Show the other end what was put; whether it wants to be notified of that."""
        before, now = self._published, self.producer
        if now == before:
            return False
        words = self._words
        _barrier()  # the index is not written before the slots
        words[self._out] = now
        self._published = now
        _barrier()  # nor is read before that what the other end wants
        return (now - words[self._out_event]) & INDEX_MASK < (now - before) & INDEX_MASK

    def rest(self) -> bool:
        """Ask to be notified of the next; whether there is one meanwhile, of which nobody notifies."""
        words = self._words
        words[self._in_event] = (self.consumer + 1) & INDEX_MASK
        _barrier()  # the index is not read before the other end can see that
        return words[self._in] != self.consumer

    def release(self) -> None:
        """Have no part of the page any more; nothing is to be called after that."""
        self._words.release()
        for slot in self._slots:
            slot.release()


class BackRing(_End):
    """The back end of a ring: takes requests and puts a response for each.

    It begins with the first request that no response was published for: at the beginning of a new ring, and at the same place in
    one that another back end has left.
    """

    __slots__ = ()

    def __init__(self, view: memoryview) -> None:
        super().__init__(view, (RESPONSE_PRODUCER, RESPONSE_EVENT), (REQUEST_PRODUCER, REQUEST_EVENT))
        self.consumer = self.producer = self._published = self._words[RESPONSE_PRODUCER]

    def take(self) -> list[bytes]:
        """Copy what the front end has put, oldest first.

        How much was taken is in the page before anything is done about it: where the back end wants to be notified says so.

        :raises RingBroken: its index can't be; nothing was taken.
        """
        slots = super().take()
        if slots:
            self._words[self._in_event] = (self.consumer + _NOT_NOW) & INDEX_MASK
        return slots

    @property
    def unanswered(self) -> int:
        """How many requests were taken that there is no response for in the ring."""
        return (self.consumer - self.producer) & INDEX_MASK

    def _most(self) -> int:
        return SLOTS - self.unanswered

    @property
    def is_used(self) -> bool:
        """Whether there was a request in it, or a response."""
        return any(self._words[word] for word in (REQUEST_PRODUCER, RESPONSE_PRODUCER))

    def taken_before(self) -> int:
        """How many requests another back end has taken that no response is published for, as the page alone tells.

        Where it was to be notified tells how many it has taken.  If that makes no sense, it may have been all that there are.
        """
        words = self._words
        asked = min((words[self._in] - self.consumer) & INDEX_MASK, SLOTS)
        event = words[self._in_event]
        for beyond in (_NEXT, _NOT_NOW):
            taken = (event - beyond - self.consumer) & INDEX_MASK
            if taken <= asked:
                return taken
        return asked

    def unheard(self) -> list[bytes]:
        """Responses that another back end has published and the front end may not have taken yet, oldest first.

        Where the front end wants to be notified tells how many it has taken, once it rests.
        """
        published = self.producer
        count = (published - (self._words[self._out_event] - _NEXT)) & INDEX_MASK
        if count > SLOTS:
            return []
        return [bytes(self._slots[at & _SLOT]) for at in range(published - count, published)]

    def newest(self) -> bytes:
        """What stands where the newest request of a full ring was put."""
        return bytes(self._slots[(self.consumer - 1) & _SLOT])

    def resume(self, put: int, unanswered: int) -> None:
        """Take up the ring where another back end has left it.

        :param put: how many responses it had put without publishing them.
        :param unanswered: how many requests it had taken without putting a response.
        """
        assert put + unanswered <= SLOTS
        self.producer = (self.producer + put) & INDEX_MASK
        self.consumer = (self.producer + unanswered) & INDEX_MASK


class FrontRing(_End):
    """The front end of a ring that is new: puts requests and takes the responses."""

    __slots__ = ()

    def __init__(self, view: memoryview) -> None:
        super().__init__(view, (REQUEST_PRODUCER, REQUEST_EVENT), (RESPONSE_PRODUCER, RESPONSE_EVENT))
        view[:] = bytes(PAGE_BYTES)
        self._words[REQUEST_EVENT] = self._words[RESPONSE_EVENT] = 1

    @property
    def room(self) -> int:
        """How many requests can be put now."""
        return SLOTS - ((self.producer - self.consumer) & INDEX_MASK)

    def _most(self) -> int:
        return (self._published - self.consumer) & INDEX_MASK
