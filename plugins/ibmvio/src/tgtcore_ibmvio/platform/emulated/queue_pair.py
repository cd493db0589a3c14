"""The two queues between the server and an attached client partition, and what the hypervisor does with them.

A partition is a stranger: it gets so many elements heard in a turn of the loop, and whatever is in its queue is 16 bytes each.
"""

import asyncio
from collections.abc import Callable

from tgtcore_ibmvio.platform.contract import ELEMENT_BYTES, Listener
from tgtcore_ibmvio.platform.emulated.memory import SharedMemory
from tgtcore_ibmvio.platform.emulated.queue import Incoming, Outgoing, Place
from tgtcore_ibmvio.platform.emulated.window import Access, AccessError, OutsideError
from tgtcore_ibmvio.platform.emulated.wire import (
    CLIENT_WAITS,
    PAGE_BYTES,
    SERVER_OPEN,
    SERVER_QUEUE_BYTES,
    SERVER_WAITS,
)
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.transport_event import VALID, TransportEvent

ELEMENTS_PER_TURN = 32
"""After so many elements of one partition the loop turns to others."""

ELEMENTS_PER_RING = 16
"""After so many a client that sleeps is woken for what they have led to, so that it works at the same time."""

TURNS_OF_A_FULL_QUEUE = SERVER_QUEUE_BYTES // ELEMENT_BYTES // ELEMENTS_PER_TURN
"""In so many turns everything is heard that was in the queue before."""

_SUCCESS = Hcall.SUCCESS


class QueuePair:
    """The server's queue and the client's.

    :param ring: rings the client's doorbell.
    :param breach: called when the client has sent what no partition can send.
    """

    def __init__(
        self,
        shared: SharedMemory,
        loop: asyncio.AbstractEventLoop,
        ring: Callable[[], None],
        breach: Callable[[str], None],
    ) -> None:
        self._shared = shared
        self._loop = loop
        self._ring = ring
        self._breach = breach
        self._listener: Listener | None = None
        self._hearer: Listener | None = None
        """The listener, while the client has a queue: without one it can't send."""
        self._outgoing: Outgoing | None = None
        self._frozen = False
        self._suspension: Hcall = Hcall.PARAMETER
        """What a client hears that is going to be suspended: whether the server is ready for that."""
        self._turn: asyncio.Handle | None = None
        self._hears = False
        """Whether the server hears elements at this moment."""
        queue_offset = shared.geometry.queue_offset
        self._incoming = Incoming(Place(shared.octets, shared.words, queue_offset, SERVER_QUEUE_BYTES, SERVER_WAITS))

    # ---- the server's side ------------------------------------------------------------------------------------------------

    @property
    def reaches_client(self) -> bool:
        """Whether elements can be sent to the client."""
        return self._outgoing is not None and not self._frozen

    def open(self, listener: Listener) -> None:
        """The server has a queue from now on; what is in it is from before."""
        self._incoming.discard()
        self._listener = listener
        self._suspension = Hcall.PARAMETER
        self._show()

    def shut(self) -> None:
        """The server has no queue any more, and the client hears of it."""
        self._listener = None
        self._show()
        self._incoming.discard()
        self._tell_client(TransportEvent.PARTNER_DEREGISTERED)

    def ready_for_suspend(self) -> Hcall:
        """The server is ready for what it was told of."""
        if self._suspension is not Hcall.PARAMETER:
            self._suspension = Hcall.SUCCESS
        return self._suspension

    def send(self, element: bytes) -> Hcall:
        """Put an element into the client's queue; while the server hears elements, the client is woken for several at once."""
        outgoing = self._outgoing
        if outgoing is None or self._frozen:
            return Hcall.CLOSED
        if not outgoing.add(element):
            return Hcall.DROPPED
        if not self._hears:
            self.wake()
        return _SUCCESS

    def close(self) -> None:
        """The client has gone; the server hears of it if the client had a queue."""
        if self._turn is not None:
            self._turn.cancel()
        del self._breach  # whose owner has this pair: without it, the memory goes when the last view of it does
        listener, self._listener, self._hearer = self._listener, None, None
        had_queue, self._outgoing = self._outgoing is not None, None
        if listener is not None and had_queue:
            listener.element(TransportEvent.PARTNER_FAILED.element)

    # ---- elements -----------------------------------------------------------------------------------------------------------

    def waiting(self) -> bool:
        """Whether there is an element that the server is going to hear."""
        return self._hearer is not None and self._incoming.ready()

    def rung(self) -> None:
        """There may be elements: let the server hear them at once, unless others have been heard in this turn of the loop."""
        if self._turn is None:
            self._hear()

    def wake(self) -> None:
        """There may be elements: let the server hear them in the next turn of the loop."""
        if self._turn is None:
            self._turn = self._loop.call_soon(self._hear)

    def _hear(self) -> None:
        self._turn = None
        more = True  # what the server fails at with one element keeps nobody from sending others
        try:
            for _ in range(ELEMENTS_PER_TURN // ELEMENTS_PER_RING):
                more = self._hear_some()
                if not more:
                    return
        finally:
            if more:
                self.wake()

    def _hear_some(self) -> bool:
        """Whether there may be more of them."""
        self._hears = True
        try:
            return self._hear_each()
        finally:
            self._hears = False
            if self._outgoing is not None:
                self._outgoing.wake()

    def _hear_each(self) -> bool:
        incoming = self._incoming
        for _ in range(ELEMENTS_PER_RING):
            listener = self._hearer
            if listener is None:
                return False
            element = incoming.take()
            if element is None:
                if incoming.doze():
                    return False
            elif element[0] == VALID:
                self._breach("it has sent a transport event")
                return False
            else:
                listener.element(element)
        return True

    def _tell_client(self, event: TransportEvent) -> None:
        """A queue without room has an event already that the client has not seen, and that makes it begin anew."""
        if self._outgoing is not None and not self._frozen:
            self._outgoing.put(event.element)

    def _tell_server(self, event: TransportEvent) -> Hcall:
        if self._listener is None:
            return Hcall.CLOSED
        self._listener.element(event.element)
        return Hcall.SUCCESS

    def _show(self) -> None:
        """Let the client send, or not; who hears it then also hears the doorbell."""
        self._hearer = None if self._outgoing is None else self._listener
        self._shared.words[SERVER_OPEN] = int(self._hearer is not None and not self._frozen)
        if self._hearer is not None:
            self.wake()

    # ---- calls of the client ------------------------------------------------------------------------------------------------

    def register(self, address: int, length: int) -> Hcall:
        """H_REG_CRQ: whole pages in one piece, which the server may read and write."""
        if self._outgoing is not None:
            return Hcall.RESOURCE
        if length % PAGE_BYTES or address % PAGE_BYTES:
            return Hcall.PARAMETER
        shared = self._shared
        try:
            (begin, end), *others = shared.window.places(address, length, Access.BOTH)
        except (OutsideError, AccessError):
            return Hcall.PARAMETER
        if others:
            return Hcall.PARAMETER
        offset = shared.geometry.memory_offset + begin
        self._outgoing = Outgoing(Place(shared.octets, shared.words, offset, end - begin, CLIENT_WAITS), self._ring)
        self._incoming.discard()
        self._thaw()
        return Hcall.CLOSED if self._listener is None else Hcall.SUCCESS

    def free(self) -> Hcall:
        """H_FREE_CRQ."""
        if self._outgoing is not None:
            self._outgoing = None
            self._thaw()
            self._tell_server(TransportEvent.PARTNER_DEREGISTERED)
        return Hcall.SUCCESS

    def enable(self) -> Hcall:
        """H_ENABLE_CRQ: elements go both ways again."""
        if self._outgoing is None:
            return Hcall.PARAMETER
        self._thaw()
        return Hcall.SUCCESS

    def migrate(self) -> Hcall:
        """The partition is on another machine: both sides are told, and nothing goes either way until it enables its queue."""
        if not self.reaches_client:
            return Hcall.CLOSED
        self._tell_client(TransportEvent.MIGRATED)
        self._frozen = True
        self._show()
        return self._tell_server(TransportEvent.MIGRATED)

    def prepare_for_suspend(self) -> Hcall:
        """The partition is about to be suspended: the server is told."""
        self._suspension = Hcall.BUSY
        return self._tell_server(TransportEvent.PREPARE_FOR_SUSPEND)

    def suspend(self) -> Hcall:
        """The partition stops now, if the server is ready for that."""
        return Hcall.CLOSED if self._listener is None else self._suspension

    def resume(self) -> Hcall:
        """The partition goes on: the server is told."""
        self._suspension = Hcall.PARAMETER
        return self._tell_server(TransportEvent.RESUME)

    def _thaw(self) -> None:
        self._frozen = False
        self._show()
