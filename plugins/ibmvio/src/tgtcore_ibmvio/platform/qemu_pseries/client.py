"""The guest's end of an adapter: its DMA window, its queue, and what its calls to the hypervisor do to them."""

import logging
from array import array
from collections.abc import Callable

from tgtcore_ibmvio.platform.contract import Listener
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.qemu_pseries.queue import ClientQueue
from tgtcore_ibmvio.platform.qemu_pseries.remembered import QUEUE, WANTS_INTERRUPTS, Remembered
from tgtcore_ibmvio.platform.qemu_pseries.window import Window
from tgtcore_ibmvio.platform.transport_event import TransportEvent

_log = logging.getLogger(__name__)


class Client:
    """One virtual SCSI client adapter of the guest.

    :param unit_address: of the adapter in the guest's device tree.
    :param memory: the guest's memory from real address 0 on.
    :param remembered: what is known of it from an earlier server, and is to be known by a later one.
    :param wake: called when the guest has something new in its queue and wants to be interrupted for it.
    """

    def __init__(self, unit_address: int, memory: memoryview, remembered: Remembered, wake: Callable[[], None]) -> None:
        self.unit_address = unit_address
        self.window = Window(memory, remembered.entries)
        self.alive = True
        self._head = remembered.head
        self.queue = ClientQueue(self.window, self._head[QUEUE]) if any(self._head[QUEUE]) else None
        self._orphaned = self.queue is not None
        self.listener: Listener | None = None
        """The server's end; None: it has no queue."""
        self.suspendable = False
        """Whether the server is ready for the suspension that it was told of."""
        self._told_of_suspension = False
        self._frozen = False
        """Whether the guest has moved, and has not enabled its queue since."""
        self._wake = wake

    # ---- calls of the guest ----------------------------------------------------------------------------------------------

    def register(self, address: int, length: int) -> Hcall:
        """H_REG_CRQ, which QEMU has done already."""
        if self.queue is not None:
            # It was reset without a word.
            self._lose_queue(TransportEvent.PARTNER_FAILED)
        self._frozen = False
        self._head[QUEUE] = array("Q", (address, length, 0, 0))
        self.queue = ClientQueue(self.window, self._head[QUEUE])
        self._orphaned = False
        return Hcall.SUCCESS if self.listener is not None else Hcall.CLOSED

    def free(self) -> Hcall:
        """H_FREE_CRQ, which QEMU has done already."""
        if self.queue is not None:
            self._lose_queue(TransportEvent.PARTNER_DEREGISTERED)
        return Hcall.SUCCESS

    def send(self, high: int, low: int) -> Hcall:
        """H_SEND_CRQ: the server gets the element at once."""
        if self.listener is None or self.queue is None or self._frozen:
            return Hcall.CLOSED
        self._tell(high.to_bytes(8, "big") + low.to_bytes(8, "big"))
        return Hcall.SUCCESS

    def enable(self) -> Hcall:
        """H_ENABLE_CRQ, to which QEMU says SUCCESS: elements go both ways again."""
        if self.queue is None:
            return Hcall.PARAMETER
        self._frozen = False
        return Hcall.SUCCESS

    def signal(self, mode: int) -> None:
        """H_VIO_SIGNAL, which QEMU is about to do.

        A guest that wants no interrupts looks at its queue by itself, and once more when it wants them again.  A new queue changes
        nothing about what it wants.
        """
        self._head[WANTS_INTERRUPTS] = mode & 1
        if self.queue is not None:
            self.queue.announced = True

    # ---- what the server does --------------------------------------------------------------------------------------------

    def serve(self, listener: Listener) -> Hcall:
        """The server has a queue now."""
        self.listener = listener
        self._told_of_suspension = self.suspendable = False
        if self._orphaned:
            # Its last server has ended without a word.
            self._orphaned = False
            self.put_event(TransportEvent.PARTNER_FAILED)
        return Hcall.CLOSED if self.queue is None else Hcall.SUCCESS

    def put(self, element: bytes) -> Hcall:
        """An element for the guest."""
        if self.queue is None or self._frozen:
            return Hcall.CLOSED
        if not self.queue.put(element):
            return Hcall.DROPPED
        self._announce()
        return Hcall.SUCCESS

    def put_event(self, event: TransportEvent) -> None:
        """A transport event for the guest, if it has a queue."""
        if self.queue is not None:
            self.queue.put_event(event.element)
            self._announce()

    def ready_for_suspend(self) -> Hcall:
        """H_VIOCTL, READY_FOR_SUSPEND."""
        if not self._told_of_suspension:
            return Hcall.PARAMETER
        self.suspendable = True
        return Hcall.SUCCESS

    # ---- what a management console does ----------------------------------------------------------------------------------

    def migrate(self) -> Hcall:
        """Have both sides believe that the guest is on another machine now; CLOSED: one has no queue."""
        if self.queue is None or self.listener is None or self._frozen:
            return Hcall.CLOSED
        self.put_event(TransportEvent.MIGRATED)
        self._frozen = True
        self._tell(TransportEvent.MIGRATED.element)
        return Hcall.SUCCESS

    def prepare_for_suspend(self) -> None:
        """Have the server told that the guest is about to be suspended; it may be as soon as it is :attr:`suspendable`."""
        self._told_of_suspension, self.suspendable = True, False
        self._tell(TransportEvent.PREPARE_FOR_SUSPEND.element)

    def resume(self) -> None:
        """Have the server told that the guest goes on."""
        self._told_of_suspension = self.suspendable = False
        self._tell(TransportEvent.RESUME.element)

    @property
    def due(self) -> ClientQueue | None:
        """The queue of which the guest is to be told by an interrupt."""
        queue = self.queue
        return (
            queue
            if queue is not None and self._head[WANTS_INTERRUPTS] and not queue.announced and queue.unread
            else None
        )

    def _announce(self) -> None:
        if self._head[WANTS_INTERRUPTS]:
            self._wake()

    # ---- the guest's end -------------------------------------------------------------------------------------------------

    def fail(self) -> None:
        """The guest is no more."""
        self.alive = False
        if self.queue is not None:
            self._lose_queue(TransportEvent.PARTNER_FAILED)

    def _lose_queue(self, event: TransportEvent) -> None:
        self.queue = None
        self._frozen = False
        self._head[QUEUE] = array("Q", bytes(32))
        self._tell(event.element)

    def _tell(self, element: bytes) -> None:
        if self.listener is None:
            return
        try:
            self.listener.element(element)
        except Exception:
            # The guest stands still meanwhile, and must go on whatever a listener does.
            _log.exception("%#x: element %s has found no good listener", self.unit_address, element.hex())
