"""The receive buffer of a connection: bytes come in anywhere, whole PDUs go out.

The buffer is filled by one ``recv_into`` per readiness event and parsed in place.  A PDU whose data is kept by a task that has not
ended keeps the old buffer alive; :meth:`Inbound.give_away` then starts a new one.
"""

from tgtcore_iscsi.limits import BHS_BYTES

_ALIGN_FROM = 4096
"""When a PDU lacks at least this much, receive no further than its end: the next one then starts at the buffer's start."""


class Inbound:
    """A growing buffer with one consumer.

    :param capacity: bytes to begin with; it grows to what :meth:`need` asks for.
    """

    __slots__ = ("_missing", "_view", "buffer", "capacity", "end", "start")

    def __init__(self, capacity: int) -> None:
        self.capacity = max(capacity, BHS_BYTES)
        self.buffer = bytearray(self.capacity)
        self._view = memoryview(self.buffer)
        self.start = 0
        """Where the first byte is that was not consumed."""
        self.end = 0
        """Where the next byte goes."""
        self._missing = 0

    def space(self) -> memoryview:
        """Where to receive: never empty."""
        room = self._view[self.end :]
        if self._missing >= _ALIGN_FROM:
            return room[: self._missing]
        return room

    def received(self, count: int) -> None:
        """``count`` bytes were put into :meth:`space`."""
        self.end += count

    def need(self, total: int) -> None:
        """The PDU at ``start`` has ``total`` bytes and is not complete: make sure that it fits."""
        have = self.end - self.start
        self._missing = total - have
        if total > self.capacity:
            self._replace(max(total, self.capacity))
        elif self.start + total > self.capacity:
            self.buffer[:have] = self.buffer[self.start : self.end]
            self.start, self.end = 0, have

    def consumed(self, start: int) -> None:
        """Everything before ``start`` was dealt with."""
        self._missing = 0
        if start == self.end:
            self.start = self.end = 0
        else:
            self.start = start
            if self.capacity - start < BHS_BYTES:
                self.need(BHS_BYTES)
                self._missing = 0

    def grow(self, capacity: int) -> None:
        """Make the buffer at least this large."""
        if capacity > self.capacity:
            self._replace(capacity)

    def give_away(self) -> None:
        """Leave the buffer to the views that were taken of it and go on in a new one."""
        self._replace(self.capacity)

    def view(self, start: int, end: int) -> memoryview:
        """Bytes of the buffer without a copy; whoever keeps them must see to :meth:`give_away`."""
        return self._view[start:end]

    def _replace(self, capacity: int) -> None:
        fresh = bytearray(capacity)
        have = self.end - self.start
        fresh[:have] = self._view[self.start : self.end]
        self.buffer, self._view, self.capacity = fresh, memoryview(fresh), capacity
        self.start, self.end = 0, have
