"""The guest's end of an adapter: its DMA window, its queue, and what its calls to the hypervisor do to them."""

import logging
from collections.abc import Callable

from tgtcore_ibmvio.platform.contract import Listener
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.qemu_pseries.queue import ClientQueue
from tgtcore_ibmvio.platform.qemu_pseries.window import Window
from tgtcore_ibmvio.platform.transport_event import TransportEvent

_log = logging.getLogger(__name__)


class Client:
    """One virtual SCSI client adapter of the guest.

    :param unit_address: of the adapter in the guest's device tree.
    :param memory: the guest's memory from real address 0 on.
    :param wake: called when the guest has something new in its queue and wants to be interrupted for it.
    """

    def __init__(self, unit_address: int, memory: memoryview, wake: Callable[[], None]) -> None:
        self.unit_address = unit_address
        self.window = Window(memory)
        self.alive = True
        self.queue: ClientQueue | None = None
        self.listener: Listener | None = None
        """The server's end; None: it has no queue."""
        self._wants_interrupts = False
        self._wake = wake

    # ---- calls of the guest ----------------------------------------------------------------------------------------------

    def register(self, address: int, length: int) -> Hcall:
        """H_REG_CRQ, which QEMU has done already."""
        if self.queue is not None:
            # It was reset without a word.
            self._lose_queue(TransportEvent.PARTNER_FAILED)
        self.queue = ClientQueue(self.window, address, length)
        return Hcall.SUCCESS if self.listener is not None else Hcall.CLOSED

    def free(self) -> Hcall:
        """H_FREE_CRQ, which QEMU has done already."""
        if self.queue is not None:
            self._lose_queue(TransportEvent.PARTNER_DEREGISTERED)
        return Hcall.SUCCESS

    def send(self, high: int, low: int) -> Hcall:
        """H_SEND_CRQ: the server gets the element at once."""
        if self.listener is None:
            return Hcall.CLOSED
        self._tell(high.to_bytes(8, "big") + low.to_bytes(8, "big"))
        return Hcall.SUCCESS

    def signal(self, mode: int) -> None:
        """H_VIO_SIGNAL, which QEMU is about to do.

        A guest that wants no interrupts looks at its queue by itself, and once more when it wants them again.  A new queue changes
        nothing about what it wants.
        """
        self._wants_interrupts = bool(mode & 1)
        if self.queue is not None:
            self.queue.announced = True

    # ---- what the server does --------------------------------------------------------------------------------------------

    def put(self, element: bytes) -> Hcall:
        """An element for the guest."""
        if self.queue is None:
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

    @property
    def due(self) -> ClientQueue | None:
        """The queue of which the guest is to be told by an interrupt."""
        queue = self.queue
        return queue if queue is not None and self._wants_interrupts and not queue.announced and queue.unread else None

    def _announce(self) -> None:
        if self._wants_interrupts:
            self._wake()

    # ---- the guest's end -------------------------------------------------------------------------------------------------

    def fail(self) -> None:
        """The guest is no more."""
        self.alive = False
        if self.queue is not None:
            self._lose_queue(TransportEvent.PARTNER_FAILED)

    def _lose_queue(self, event: TransportEvent) -> None:
        self.queue = None
        self._tell(event.element)

    def _tell(self, element: bytes) -> None:
        if self.listener is None:
            return
        try:
            self.listener.element(element)
        except Exception:
            # The guest stands still meanwhile, and must go on whatever a listener does.
            _log.exception("%#x: element %s has found no good listener", self.unit_address, element.hex())
