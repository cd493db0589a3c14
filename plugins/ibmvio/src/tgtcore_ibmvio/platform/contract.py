"""What a virtual I/O server asks of the machine below: the few operations of PAPR's virtual SCSI, adapter by adapter.

A platform stands in the place of the hypervisor.  It never interprets what it carries: elements of command/response queues are 16
opaque bytes, and an address is one in the client's DMA window.  All calls in both directions come on the loop's thread, and none
waits: a platform that needs time says BUSY or one of LONG_BUSY, and the server asks again, after as long as that says.  Only copies
are always done at once.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from pydantic import BaseModel

from tgtcore import NoOptions

if TYPE_CHECKING:
    from tgtcore import Buffer
    from tgtcore_ibmvio.platform.hcall import Hcall

ELEMENT_BYTES = 16
"""Of a command/response queue (LoPAR 17.2.3.1.1)."""


@dataclass(frozen=True)
class Partner:
    """The client partition at the other end of an adapter, as the machine knows it (H_VIOCTL, GET_PARTNER_INFO).

    :param number: partition number, 1 to 65535.
    :param name: partition name.
    """

    number: int
    name: str


class Listener(Protocol):
    """What a platform tells of an adapter."""

    def element(self, element: bytes) -> None:
        """One element of the adapter's queue, already taken out of it.

        A partner that has no queue can't send.  Transport events (first byte 0xFF) come the same way as what the partner sends, in
        order with it; the platform makes them when the partner fails, deregisters its queue or has migrated.
        """


class Adapter(ABC):
    """One ``v-scsi-host`` adapter: the server's end of a pair of command/response queues.

    :param unit_address: of the adapter in the server's device tree, such as 0x30000003.
    :param copy_bytes_max: how much one :meth:`read` or :meth:`write` may copy (``ibm,max-virtual-dma-size``).
    """

    def __init__(self, unit_address: int, copy_bytes_max: int) -> None:
        self.unit_address = unit_address
        self.copy_bytes_max = copy_bytes_max

    # ---- the queue ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def register(self, listener: Listener) -> "Hcall":
        """H_REG_CRQ: elements go to the listener from now on.

        SUCCESS: the partner has a queue too; CLOSED: not yet; RESOURCE: it is registered already.
        """

    @abstractmethod
    def free(self) -> "Hcall":
        """H_FREE_CRQ: the queue is gone with all that was in it, and the partner hears of it; idempotent.

        BUSY: ask again.  The listener hears nothing more, whatever the answer is.
        """

    @abstractmethod
    def send(self, element: bytes) -> "Hcall":
        """H_SEND_CRQ: put an element into the partner's queue and interrupt it.

        CLOSED: it has no queue; DROPPED: its queue is full.  Then nothing was sent; nobody tells when there is room again.
        """

    @abstractmethod
    def enable(self) -> "Hcall":
        """H_ENABLE_CRQ: use the queue again after a migration.  IN_PROGRESS or BUSY: ask again."""

    @abstractmethod
    def ready_for_suspend(self) -> "Hcall":
        """H_VIOCTL, READY_FOR_SUSPEND (1Eh): the event that the partner is going to be suspended was heard, and it may be now.

        None of its requests is without an answer, and none is taken until it goes on, or another one is there. PARAMETER: nobody
        is going to be suspended; BUSY or one of LONG_BUSY: ask again. Where a machine tells of suspensions only who wants to hear
        of them (H_VIOCTL, ENABLE_PREPARE_FOR_SUSPEND, 1Dh), :meth:`register` asks for that.
        """

    # ---- the client's memory ----------------------------------------------------------------------------------------------

    @abstractmethod
    def read(self, address: int, into: memoryview) -> "Hcall":
        """H_COPY_RDMA from the client: fill a buffer of ours with what is at an address of its DMA window.

        PERMISSION or SOURCE_PARM: not all of it may be read; the buffer may have changed.
        """

    @abstractmethod
    def write(self, address: int, data: "Buffer") -> "Hcall":
        """H_COPY_RDMA to the client: what is at an address of its DMA window becomes ``data``.

        PERMISSION or DEST_PARM: not all of it may be written; a part may have been.
        """

    def views(self, address: int, length: int, *, writable: bool) -> Sequence[memoryview] | None:
        """The client's memory itself, in pieces, where this platform has it mapped; None where only copying works.

        What is read there may change at any moment, and what is written may be seen at once: for data, never for what is checked.

        :param writable: whether it is to be written; an address that may not be is None too, and :meth:`write` says why.
        """
        return None

    # ---- the partner --------------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def partner(self) -> Partner | None:
        """Who is at the other end; None: nobody now."""


class Platform(ABC):
    """A machine with adapters.

    :param options: an instance of ``Options``.
    """

    Options: ClassVar[type[BaseModel]] = NoOptions
    """Configuration keys under ``[transports.ibmvio.<name of the platform>]``."""

    def __init__(self, options: BaseModel, loop: asyncio.AbstractEventLoop) -> None:
        self.options = options
        self.loop = loop

    @abstractmethod
    async def open(self, unit_address: int) -> Adapter:
        """Make use of an adapter; nobody else has it.

        :raises OSError: there is no such adapter, or it can't be used; the message names it.
        """

    @abstractmethod
    async def release(self, adapter: Adapter) -> None:
        """Make no more use of an adapter; its queue has been freed."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the machine, and of adapters that were not released: their queues end as when the server fails.

        No command is under way.  Where the machine goes on without us, and can keep its clients until there is a server again, they
        are told only then: a client that hears that nobody is there gives up.
        """
