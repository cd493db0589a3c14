"""A driver's end of a ring: it posts requests and takes responses and events."""

import asyncio
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping

from tgtcore.errors import RingError
from tgtcore.ring import doorbell
from tgtcore.ring.memory import Memory
from tgtcore.ring.messages import REQUEST_SLOT_BYTES, RESPONSE_SLOT_BYTES, Event, Response

_FIRST_EVENT = min(Event)
_AT_ONCE = 4
"""So many requests are announced while others are still being posted: the core takes them meanwhile."""

Handler = Callable[[memoryview, int], None]
"""Takes a response or an event: the response ring, or a copy of a slot, and the offset."""


class DriverEnd:
    """A driver's end.

    :param request_bell: the end of the doorbell that wakes the core; owned from here on, as the other one.
    :param response_bell: the end of the doorbell that the core rings.
    :param link: the socket over which it was attached; when it is closed, the core is gone.
    :param handlers: what to do with each kind of response and event.
    """

    def __init__(
        self,
        memory: Memory,
        request_bell: int,
        response_bell: int,
        link: socket.socket,
        loop: asyncio.AbstractEventLoop,
        handlers: Mapping[int, Handler],
    ) -> None:
        self.requests = memory.requests
        """The request ring, for packing into a slot."""
        self.data = memory.data
        """The data area."""
        self.unanswered = 0
        self.before_waiting: Callable[[], None] = _nothing
        """Called before this end waits; a core on the same loop is served by it, for nobody else does meanwhile."""
        self.depth = memory.geometry.depth
        self._memory = memory
        self._responses = memory.responses
        self._slots = memory.geometry.slots
        self._request_bell = request_bell
        self._response_bell = response_bell
        self._link = link
        self._loop = loop
        self._handlers = handlers
        self._next_request = 0
        self._next_response = 0
        self._pending = 0
        """Requests that are posted and not announced."""
        self._flushing = False
        """Whether the loop is going to announce them."""
        self._closed = False
        self._announced = 0
        self._deferred: deque[memoryview] = deque()
        """Copies of what came while somebody waited for something else."""
        self._last_id = 0
        loop.add_reader(response_bell, self._rung)

    def close(self) -> None:
        """Let go of the doorbells; what is posted later goes nowhere."""
        self._closed = True
        self._loop.remove_reader(self._response_bell)
        os.close(self._request_bell)
        os.close(self._response_bell)

    def new_id(self) -> int:
        """An id for a request that is no command; commands have ids below 2**63."""
        self._last_id += 1
        return self._last_id | 1 << 63

    def event_buffer(self, number: int) -> memoryview:
        """An event buffer, for an event's payload and that of its answer."""
        size = self._memory.geometry.event_bytes
        return self._memory.events[number * size : (number + 1) * size]

    def slot(self) -> int:
        """Where in ``requests`` the next request is to be written, at once; the core is told in due time.

        Whoever posts a request that is answered adds one to ``unanswered``, which never exceeds ``depth``.
        """
        at = self._next_request * REQUEST_SLOT_BYTES
        self._next_request += 1
        if self._next_request == self._slots:
            self._next_request = 0
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        elif self._pending >= _AT_ONCE:
            self._announce()
        self._pending += 1
        return at

    def wait(self, request_id: int, timeout_s: float) -> memoryview:
        """The answer to a request, for which everything else waits; a copy of its slot.

        :raises RingError: the core is gone, or does not answer in time.
        """
        self._announce()
        deadline = time.monotonic() + timeout_s
        found: memoryview | None = None
        try:
            while found is None:
                if not self._announced:
                    self._wait_for_bell(deadline)
                while self._announced:
                    slot = memoryview(bytes(self._responses[(at := self._advance()) : at + RESPONSE_SLOT_BYTES]))
                    if slot[0] < _FIRST_EVENT and int.from_bytes(slot[8:16], "little") == request_id:
                        self.unanswered -= 1
                        found = slot
                    else:
                        self._deferred.append(slot)
        finally:
            if self._deferred:
                self._loop.call_soon(self._take)
        return found

    def _wait_for_bell(self, deadline: float) -> None:
        self.before_waiting()
        poll = select.poll()
        poll.register(self._response_bell, select.POLLIN)
        poll.register(self._link, select.POLLRDHUP)
        ready = dict(poll.poll(max(0, int((deadline - time.monotonic()) * 1000))))
        if not ready or self._link.fileno() in ready:
            raise RingError("the core does not answer" if not ready else "the core is gone")
        self._announced += doorbell.heard(self._response_bell) or 0

    def _advance(self) -> int:
        at = self._next_response * RESPONSE_SLOT_BYTES
        self._announced -= 1
        self._next_response += 1
        if self._next_response == self._slots:
            self._next_response = 0
        return at

    def _rung(self) -> None:
        try:
            count = doorbell.heard(self._response_bell)
        except BlockingIOError:
            return
        if count is None:
            self._loop.remove_reader(self._response_bell)  # the end of the core is told by its socket
            return
        self._announced += count
        self._take()

    def _take(self) -> None:
        """Handle what has come, in order; a handler may wait for something and find more behind it."""
        try:
            while True:
                if self._deferred:
                    self._handle(self._deferred.popleft(), 0)
                elif self._announced:
                    self._handle(self._responses, self._advance())
                else:
                    return
        except BaseException:
            self._loop.call_soon(self._take)  # what is behind it must not wait for more
            raise

    def _handle(self, slots: memoryview, at: int) -> None:
        kind = slots[at]
        if kind < _FIRST_EVENT and kind != Response.WANT_DATA:
            self.unanswered -= 1
        handler = self._handlers.get(kind)
        if handler is None:
            raise RingError(f"the core says something unknown: message type {kind}")
        handler(slots, at)

    def _flush(self) -> None:
        self._flushing = False
        self._announce()

    def _announce(self) -> None:
        if self._pending and not self._closed:
            pending, self._pending = self._pending, 0
            doorbell.ring(self._request_bell, pending)


def _nothing() -> None:
    """A core in another process is served there."""
