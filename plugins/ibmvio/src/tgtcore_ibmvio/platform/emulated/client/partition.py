"""A client partition without its socket: its memory, its queues, and what its calls mean.  Nothing here waits."""

import os
from functools import partial

from tgtcore_ibmvio.platform.contract import ELEMENT_BYTES
from tgtcore_ibmvio.platform.emulated import doorbell
from tgtcore_ibmvio.platform.emulated.client.attaching import Machine
from tgtcore_ibmvio.platform.emulated.queue import Incoming, Outgoing, Place
from tgtcore_ibmvio.platform.emulated.window import Access, AccessError, OutsideError
from tgtcore_ibmvio.platform.emulated.wire import (
    CALL,
    CLIENT_WAITS,
    RETURN,
    SERVER_OPEN,
    SERVER_QUEUE_BYTES,
    SERVER_WAITS,
    Call,
)
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.transport_event import VALID, TransportEvent

ANSWER_S = 30.0
"""How long the machine may take for an answer."""

_TAKEN_AT_ONCE = 64
_FAILED = TransportEvent.PARTNER_FAILED.element


class Partition:
    """What a client partition does in its own memory.

    :param machine: what it got when it attached; owned from here on.
    """

    def __init__(self, machine: Machine) -> None:
        shared = machine.shared
        self.unit_address = machine.unit_address
        """Of the server's adapter."""
        self.memory = shared.memory
        """All memory of the partition; the server reaches what is mapped of it."""
        self._shared = shared
        self._heard = machine.heard
        self._rung = machine.rung
        self._alive = True
        self._incoming: Incoming | None = None
        self._begun: tuple[Call, Incoming | None] | None = None
        place = Place(shared.octets, shared.words, shared.geometry.queue_offset, SERVER_QUEUE_BYTES, SERVER_WAITS)
        self._outgoing = Outgoing(place, partial(doorbell.ring, self._rung))

    # ---- memory -------------------------------------------------------------------------------------------------------------

    def map(self, address: int, offset: int, length: int, access: Access = Access.BOTH) -> None:
        """H_PUT_TCE: let the server reach whole pages of :attr:`memory`, from an offset on, at an address of the DMA window.

        :param access: what the server may do there.
        :raises ValueError: these are no pages of the window and of the memory.
        """
        self._shared.window.map(address, offset, length, access)

    def unmap(self, address: int, length: int) -> None:
        """H_STUFF_TCE: the server reaches nothing there any more.

        :raises ValueError: these are no pages of the window.
        """
        self._shared.window.unmap(address, length)

    # ---- queues -------------------------------------------------------------------------------------------------------------

    def send(self, element: bytes) -> Hcall:
        """H_SEND_CRQ: put an element into the server's queue.

        CLOSED: it has none; DROPPED: it is full; PARAMETER: these are no 16 bytes of which the first is 80h to FEh.
        """
        if len(element) != ELEMENT_BYTES or not 0x80 <= element[0] < VALID:
            return Hcall.PARAMETER
        if not self._alive or not self._shared.words[SERVER_OPEN]:
            return Hcall.CLOSED
        return Hcall.SUCCESS if self._outgoing.put(element) else Hcall.DROPPED

    def take(self, most: int = _TAKEN_AT_ONCE) -> list[bytes]:
        """Take elements out of the queue, without waiting; if the machine has gone, the last one says that the partner failed.

        :raises ConnectionError: it has gone, and that was said, or there is no queue.
        """
        incoming = self._incoming
        taken: list[bytes] = []
        while incoming is not None and len(taken) < most:
            element = incoming.take()
            if element is None:
                break
            taken.append(element)
        if taken or self._alive:
            return taken
        self._incoming = None
        if incoming is None:
            raise ConnectionResetError("the machine has gone")
        return [_FAILED]

    def _doze(self) -> bool:
        """Ask for the doorbell before waiting; False: there is something to take."""
        return self._alive and (self._incoming is None or self._incoming.doze())

    # ---- calls --------------------------------------------------------------------------------------------------------------

    def _begin(self, call: Call, first: int, second: int) -> bytes:
        """The packet of a call; there is one at a time."""
        new = call is Call.H_REG_CRQ and self._incoming is None
        self._begun = call, self._new_queue(first, second) if new else None
        return CALL.pack(call, 0, first, second)

    def _end(self, packet: bytes) -> Hcall:
        """What the call has returned.

        :raises ConnectionError: the machine has gone, or says what it was not asked.
        """
        begun, self._begun = self._begun, None
        if not packet:
            self._alive = False
            raise ConnectionResetError("the machine has gone")
        if begun is None or len(packet) != RETURN.size:
            raise ConnectionError(f"the machine has sent {len(packet)} bytes that nobody has asked for")
        call, incoming = begun
        number, returned = RETURN.unpack(packet)
        if number != call:
            raise ConnectionError(f"the machine has answered call {number:#x}, expected {call:#x}")
        code = Hcall(returned)
        if call is Call.H_FREE_CRQ:
            self._incoming = None
        elif incoming is not None and code in (Hcall.SUCCESS, Hcall.CLOSED):
            self._incoming = incoming
        return code

    def _new_queue(self, address: int, length: int) -> Incoming | None:
        """The queue at an address, empty; None: the machine is going to say that there can't be one."""
        shared = self._shared
        try:
            (begin, end), *others = shared.window.places(address, length, Access.BOTH)
        except (OutsideError, AccessError):
            return None
        if others:
            return None
        self.memory[begin:end] = bytes(end - begin)
        offset = shared.geometry.memory_offset + begin
        return Incoming(Place(shared.octets, shared.words, offset, end - begin, CLIENT_WAITS))

    def _let_go(self) -> None:
        self._alive = False
        os.close(self._heard)
        os.close(self._rung)
