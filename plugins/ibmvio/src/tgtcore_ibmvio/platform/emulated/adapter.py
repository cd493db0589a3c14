"""An adapter of the emulated machine: the server's end."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tgtcore_ibmvio.platform.contract import ELEMENT_BYTES, Adapter, Listener, Partner
from tgtcore_ibmvio.platform.emulated.connection import Connection
from tgtcore_ibmvio.platform.emulated.port import Port
from tgtcore_ibmvio.platform.emulated.window import Access, AccessError, OutsideError
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.transport_event import VALID

if TYPE_CHECKING:
    from tgtcore import Buffer
    from tgtcore_ibmvio.platform.emulated.attaching import Attached
    from tgtcore_ibmvio.platform.emulated.options import EmulatedOptions

COPY_BYTES_MAX = 128 * 1024
"""What PAPR lets one H_COPY_RDMA copy on any machine."""


class EmulatedAdapter(Adapter):
    """One adapter, and the client partition that is attached to it at the moment.

    :raises OSError: its socket can't be made.
    """

    def __init__(self, unit_address: int, options: "EmulatedOptions", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(unit_address, COPY_BYTES_MAX)
        self._loop = loop
        self._listener: Listener | None = None
        self.connection: Connection | None = None
        """The client partition that is attached."""
        self._port = Port(self, options, loop)

    # ---- attachments ----------------------------------------------------------------------------------------------------------

    def attached(self, attached: "Attached") -> None:
        """A client partition is there."""
        self.connection = Connection(attached, str(self), self._loop, self._gone)
        if self._listener is not None:
            self.connection.queues.open(self._listener)

    def _gone(self) -> None:
        self.connection = None

    async def close(self) -> None:
        """End the attachment, and take no other."""
        await self._port.close()
        if self.connection is not None:
            self.connection.end("the adapter is released")

    def __str__(self) -> str:
        return f"adapter {self.unit_address:x}"

    # ---- the queue --------------------------------------------------------------------------------------------------------

    def register(self, listener: Listener) -> Hcall:
        """H_REG_CRQ."""
        if self._listener is not None:
            return Hcall.RESOURCE
        self._listener = listener
        if self.connection is None:
            return Hcall.CLOSED
        self.connection.queues.open(listener)
        return Hcall.SUCCESS if self.connection.queues.reaches_client else Hcall.CLOSED

    def free(self) -> Hcall:
        """H_FREE_CRQ; never busy."""
        if self._listener is not None:
            self._listener = None
            if self.connection is not None:
                self.connection.queues.shut()
        return Hcall.SUCCESS

    def send(self, element: bytes) -> Hcall:
        """H_SEND_CRQ; PARAMETER: this is no element that a partition may send."""
        if len(element) != ELEMENT_BYTES or not 0x80 <= element[0] < VALID:
            return Hcall.PARAMETER
        return Hcall.CLOSED if self.connection is None else self.connection.queues.send(element)

    def enable(self) -> Hcall:
        """H_ENABLE_CRQ; it is the client partition that migrates, so a queue of the server's is always enabled."""
        return Hcall.PARAMETER if self._listener is None else Hcall.SUCCESS

    # ---- the client's memory ----------------------------------------------------------------------------------------------

    def read(self, address: int, into: memoryview) -> Hcall:
        """H_COPY_RDMA from the client; SOURCE_PARM: not all of it is in the DMA window, or nobody is there."""
        try:
            pieces = self._pieces(address, len(into), Access.READ)
        except OutsideError:
            return Hcall.SOURCE_PARM
        except AccessError:
            return Hcall.PERMISSION
        done = 0
        for piece in pieces:
            into[done : done + len(piece)] = piece
            done += len(piece)
        return Hcall.SUCCESS

    def write(self, address: int, data: "Buffer") -> Hcall:
        """H_COPY_RDMA to the client; DEST_PARM: not all of it is in the DMA window, or nobody is there."""
        source = memoryview(data)
        try:
            pieces = self._pieces(address, len(source), Access.WRITE)
        except OutsideError:
            return Hcall.DEST_PARM
        except AccessError:
            return Hcall.PERMISSION
        done = 0
        for piece in pieces:
            piece[:] = source[done : done + len(piece)]
            done += len(piece)
        return Hcall.SUCCESS

    def views(self, address: int, length: int, *, writable: bool) -> Sequence[memoryview] | None:
        """The client's memory; it stays mapped as long as there is a view of it, also when the client has gone."""
        try:
            return self._pieces(address, length, Access.WRITE if writable else Access.READ)
        except (OutsideError, AccessError):
            return None

    def _pieces(self, address: int, length: int, access: Access) -> list[memoryview]:
        if not length:
            return []
        if self.connection is None:
            raise OutsideError
        shared = self.connection.shared
        return [shared.memory[begin:end] for begin, end in shared.window.places(address, length, access)]

    # ---- the partner --------------------------------------------------------------------------------------------------------

    @property
    def partner(self) -> Partner | None:
        """Who is attached."""
        return None if self.connection is None else self.connection.partner
