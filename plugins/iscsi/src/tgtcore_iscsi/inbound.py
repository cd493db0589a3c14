"""The receive buffer of a connection: bytes come in anywhere, whole PDUs go out.

The buffer is filled by one ``recv_into`` per readiness event and parsed in place.  A task that has not ended may keep a view of its
data: :meth:`Inbound.keep` promises that those bytes stay as they are, so the buffer is then filled to its end only once.
"""

from tgtcore_iscsi.limits import BHS_BYTES

_ALIGN_FROM = 4096
"""When a PDU lacks at least this much, receive no further than its end: the next one then starts at the buffer's start."""


class Inbound:
    """A growing buffer with one consumer.

    :param capacity: bytes to begin with; it grows to what :meth:`need` asks for.
    """

    __slots__ = ("_kept", "_missing", "_view", "buffer", "capacity", "end", "start")

    def __init__(self, capacity: int) -> None:
        self.capacity = max(capacity, BHS_BYTES)
        self.buffer = bytearray(self.capacity)
        self._view = memoryview(self.buffer)
        self.start = 0
        """Where the first byte is that was not consumed."""
        self.end = 0
        """Where the next byte goes."""
        self._missing = 0
        self._kept = False

    def space(self) -> memoryview:
        """Where to receive: never empty."""
        if self.end == self.capacity:  # the parser stopped half-way, before a PDU that is not complete
            self._rewind(self.capacity if self.start else 2 * self.capacity)
        room = self._view[self.end :]
        if self._missing >= _ALIGN_FROM:
            return room[: self._missing]
        return room

    def received(self, count: int) -> None:
        """``count`` bytes were put into :meth:`space`."""
        self.end += count

    def need(self, total: int) -> None:
        """The PDU at ``start`` has ``total`` bytes and is not complete: make sure that it fits."""
        self._missing = total - (self.end - self.start)
        if total > self.capacity - self.start:
            self._rewind(max(total, self.capacity))

    def consumed(self, start: int) -> None:
        """Everything before ``start`` was dealt with."""
        self._missing = 0
        if start == self.end and not self._kept:
            self.start = self.end = 0
            return
        self.start = start
        if self.capacity - start < BHS_BYTES or (start == self.end and start > self.capacity // 2):
            self._rewind(self.capacity)

    def grow(self, capacity: int) -> None:
        """Make the buffer at least this large."""
        if capacity > self.capacity:
            self._rewind(capacity)

    def keep(self) -> None:
        """Somebody keeps a view of what was received: those bytes don't change any more."""
        self._kept = True

    def _rewind(self, capacity: int) -> None:
        """Go on at the start: of this buffer, or of a new one if that has to be larger or views of this one are kept."""
        have = self.end - self.start
        rest = self._view[self.start : self.end]
        if self._kept or capacity > self.capacity:
            self.buffer = bytearray(capacity)
            self._view = memoryview(self.buffer)
            self.capacity = capacity
            self._kept = False
        self._view[:have] = rest
        self.start, self.end = 0, have
