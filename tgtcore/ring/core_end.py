"""The core's end of a ring: it takes requests and posts responses and events.

Nothing in the memory says how far either side has come: a doorbell's count does, and the kernel orders what was written before it.
Whatever a driver writes is read once, into values of the core's own.
"""

import asyncio
import logging
import math
import os
from collections.abc import Callable, Mapping

from tgtcore.errors import RingError
from tgtcore.ring import doorbell
from tgtcore.ring.memory import Memory
from tgtcore.ring.messages import REQUEST_SLOT_BYTES, RESPONSE_SLOT_BYTES

_log = logging.getLogger(__name__)

_TURN_S = 0.0005
"""How long requests are taken at most before the loop does something else."""
_LEAST_TURN_S = 0.00005
"""And at least: what the loop's turn itself costs would be more than the requests."""
_ALONE = 1.5
"""When the loop comes back within so many times what its quickest turn takes, nobody else had anything to do."""
_AT_ONCE = 8
"""So many responses are announced while others are still being made: the driver takes them meanwhile."""
_ROUNDS = 4
"""How often a doorbell is looked at again within a turn: the next requests are often there already."""

Handler = Callable[[memoryview, int], None]
"""Takes a request: the request ring and the offset of the slot."""


class CoreEnd:
    """The core's end.

    :param request_bell: the end of the doorbell that the driver rings; owned from here on, as the other one.
    :param response_bell: the end of the doorbell that wakes the driver.
    :param handlers: what to do with each kind of request; a handler may raise :class:`~tgtcore.errors.RingError`.
    :param broken: called once, with the reason, when the driver has broken a rule; the end is closed then.
    """

    def __init__(
        self,
        memory: Memory,
        request_bell: int,
        response_bell: int,
        loop: asyncio.AbstractEventLoop,
        handlers: Mapping[int, Handler],
        broken: Callable[[str], None],
    ) -> None:
        self.responses = memory.responses
        """The response ring, for packing into a slot."""
        self.data = memory.data
        """The data area."""
        self.closed = False
        self.taken = 0
        """Requests so far."""
        self._requests = memory.requests
        self._slots = memory.geometry.slots
        self._request_bell = request_bell
        self._response_bell = doorbell.PatientBell(response_bell, loop)
        self._loop = loop
        self._handlers = handlers
        self._broken = broken
        self._backlog = 0
        self._next_request = 0
        self._next_response = 0
        self._pending = 0
        self._left_off = -math.inf
        """When requests were taken last."""
        self._turn_s = math.inf
        """What the quickest turn of the loop took besides them."""
        self._until = -math.inf
        """Until when they are taken in this turn."""
        self._share_s = 0.0
        """How long that is, but for what is owed."""
        self._owed_s = 0.0
        """How much longer they were taken before."""
        self._serving = False
        self._scheduled = False
        """Whether the loop is going to take more of what was announced."""
        loop.add_reader(request_bell, self._rung)

    def close(self) -> None:
        """Let go of the doorbells and the memory; what is posted later goes nowhere.  Idempotent."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._request_bell)
            os.close(self._request_bell)
            self._response_bell.close()
            # nothing keeps the memory mapped now but pieces of it that commands still use
            self._requests = self.responses = self.data = memoryview(b"")

    def slot(self) -> int:
        """Where in ``responses`` the next response or event is to be written, at once; the driver is told in due time.

        A driver that overstrains the ring finds its own answers overwritten; nobody else is harmed.
        """
        at = self._next_response * RESPONSE_SLOT_BYTES
        self._next_response += 1
        if self._next_response == self._slots:
            self._next_response = 0
        if self._serving:
            if self._pending >= _AT_ONCE:
                self._flush()
        elif not self._pending:
            self._loop.call_soon(self._flush)
        self._pending += 1
        return at

    def piece(self, offset: int, length: int) -> memoryview:
        """A piece of the data area that a driver has named.

        :raises RingError: it is not within the area.
        """
        data = self.data
        if offset + length > len(data):
            raise RingError(f"{length} bytes at {offset} do not lie within the data area of {len(data)} bytes")
        return data[offset : offset + length]

    def serve_now(self) -> None:
        """Take every request that was announced: for a driver on the same loop, which waits for an answer."""
        self._rung()
        if self._backlog and not self.closed:
            self._until = math.inf
            self._serve()

    def _rung(self) -> None:
        for looked in range(_ROUNDS):
            try:
                count = doorbell.heard(self._request_bell)
            except BlockingIOError:
                return
            except RingError as error:
                self._end(str(error))
                return
            if count is None:
                self._loop.remove_reader(self._request_bell)  # the end of the attachment is told by its socket
                return
            self._backlog += count
            if not count or self._backlog > self._slots:
                self._end(f"the doorbell announces {self._backlog} requests, the ring has {self._slots} slots")
                return
            if self._scheduled:
                return
            if not looked:
                self._begin_turn()
            self._serve()
            if self.closed or self._backlog or self._left_off >= self._until:
                return

    def _serve_on(self) -> None:
        """Take more of what was announced, in another turn of the loop."""
        self._scheduled = False
        if not self.closed:
            self._turn_s = min(self._turn_s, self._loop.time() - self._left_off)
            self._begin_turn()
            self._serve()

    def _begin_turn(self) -> None:
        """Find out how long requests are taken in this turn of the loop.

        A driver that floods the ring gets no more time than the others have had since it was its turn before, or a little, and
        twice as much each time when they have had none.  What it takes beyond that, because a request can't be cut short, it does
        not get next time.
        """
        now = self._loop.time()
        others_s, self._left_off = now - self._left_off, now
        alone = others_s < _ALONE * self._turn_s
        self._share_s = min(max(others_s, 2 * self._share_s if alone else _LEAST_TURN_S), _TURN_S)
        self._until = now + self._share_s - self._owed_s

    def _serve(self) -> None:
        """Take requests that were announced, as many as this turn has time for."""
        requests, handlers, slots = self._requests, self._handlers, self._slots
        clock, until = self._loop.time, self._until
        self._serving = True
        try:
            left_off = self._left_off
            while self._backlog and left_off < until:
                at = self._next_request * REQUEST_SLOT_BYTES
                self._next_request += 1
                if self._next_request == slots:
                    self._next_request = 0
                self._backlog -= 1
                self.taken += 1
                handler = handlers.get(requests[at])
                if handler is None:
                    raise RingError(f"there is no request of type {requests[at]}")
                handler(requests, at)
                left_off = clock()
            self._left_off = left_off
            self._owed_s = max(left_off - until, 0.0)
        except RingError as error:
            self._end(str(error))
            return
        except Exception:
            _log.exception("a request of a driver failed inside the core")
            self._end("the core failed inside at one of its requests")
            return
        finally:
            self._serving = False
        self._flush()
        if self._backlog:
            self._scheduled = True
            self._loop.call_soon(self._serve_on)

    def _flush(self) -> None:
        if self._pending and not self.closed:
            pending, self._pending = self._pending, 0
            self._response_bell.ring(pending)

    def _end(self, reason: str) -> None:
        if not self.closed:
            self.close()
            self._broken(reason)
