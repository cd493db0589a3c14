"""An adapter of the emulated machine: the server's end."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tgtcore_ibmvio.platform.contract import ELEMENT_BYTES, Adapter, Listener, Partner
from tgtcore_ibmvio.platform.emulated.connection import Connection
from tgtcore_ibmvio.platform.emulated.port import Port
from tgtcore_ibmvio.platform.emulated.window import (
    PAGE,
    PAGE_SHIFT,
    WITHIN,
    Access,
    AccessError,
    OutsideError,
    Window,
)
from tgtcore_ibmvio.platform.emulated.wire import PAGE_BYTES
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.transport_event import VALID

if TYPE_CHECKING:
    from tgtcore import Buffer
    from tgtcore_ibmvio.platform.emulated.attaching import Attached
    from tgtcore_ibmvio.platform.emulated.options import EmulatedOptions

COPY_BYTES_MAX = 128 * 1024
"""What PAPR lets one H_COPY_RDMA copy on any machine."""

_SUCCESS, _CLOSED = Hcall.SUCCESS, Hcall.CLOSED
_READ, _WRITE = Access.READ, Access.WRITE
_READS, _WRITES = int(_READ), int(_WRITE)
_FIRST_BYTE_MIN = 0x80
_NOTHING = memoryview(b"")
_NOWHERE = Window(0, _NOTHING.cast("Q"), 0)


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
        self._window, self._memory = _NOWHERE, _NOTHING
        self._port = Port(self, options, loop)

    # ---- attachments ----------------------------------------------------------------------------------------------------------

    def attached(self, attached: "Attached") -> None:
        """A client partition is there."""
        self.connection = Connection(attached, str(self), self._loop, self._gone)
        self._window, self._memory = attached.shared.window, attached.shared.memory
        if self._listener is not None:
            self.connection.queues.open(self._listener)

    def _gone(self) -> None:
        self.connection = None
        self._window, self._memory = _NOWHERE, _NOTHING

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
        if len(element) != ELEMENT_BYTES or not _FIRST_BYTE_MIN <= element[0] < VALID:
            return Hcall.PARAMETER
        connection = self.connection
        return _CLOSED if connection is None else connection.queues.send(element)

    def enable(self) -> Hcall:
        """H_ENABLE_CRQ; it is the client partition that migrates, so a queue of the server's is always enabled."""
        return Hcall.PARAMETER if self._listener is None else Hcall.SUCCESS

    def ready_for_suspend(self) -> Hcall:
        """H_VIOCTL, READY_FOR_SUSPEND; PARAMETER: nobody has said that it is going to be suspended."""
        return Hcall.PARAMETER if self.connection is None else self.connection.queues.ready_for_suspend()

    # ---- the client's memory ----------------------------------------------------------------------------------------------

    def read(self, address: int, into: memoryview) -> Hcall:
        """H_COPY_RDMA from the client; SOURCE_PARM: not all of it is in the DMA window, or nobody is there."""
        window, length = self._window, len(into)
        offset = address - window.start
        if 0 <= offset < window.size and 0 < length <= PAGE_BYTES - (offset & WITHIN):  # as most is, in one page
            entry = window.table[offset >> PAGE_SHIFT]
            if entry & _READS and entry < window.memory_bytes:
                begin = entry & PAGE | offset & WITHIN
                into[:] = self._memory[begin : begin + length]
                return _SUCCESS
        return self._read_pieces(address, into)

    def write(self, address: int, data: "Buffer") -> Hcall:
        """H_COPY_RDMA to the client; DEST_PARM: not all of it is in the DMA window, or nobody is there."""
        window, length = self._window, len(data)
        offset = address - window.start
        if 0 <= offset < window.size and 0 < length <= PAGE_BYTES - (offset & WITHIN):
            entry = window.table[offset >> PAGE_SHIFT]
            if entry & _WRITES and entry < window.memory_bytes:
                begin = entry & PAGE | offset & WITHIN
                self._memory[begin : begin + length] = data
                return _SUCCESS
        return self._write_pieces(address, memoryview(data))

    def _read_pieces(self, address: int, into: memoryview) -> Hcall:
        try:
            memory, places = self._places(address, len(into), _READ)
        except OutsideError:
            return Hcall.SOURCE_PARM
        except AccessError:
            return Hcall.PERMISSION
        done = 0
        for begin, end in places:
            into[done : done + end - begin] = memory[begin:end]
            done += end - begin
        return _SUCCESS

    def _write_pieces(self, address: int, data: memoryview) -> Hcall:
        try:
            memory, places = self._places(address, len(data), _WRITE)
        except OutsideError:
            return Hcall.DEST_PARM
        except AccessError:
            return Hcall.PERMISSION
        done = 0
        for begin, end in places:
            memory[begin:end] = data[done : done + end - begin]
            done += end - begin
        return _SUCCESS

    def views(self, address: int, length: int, *, writable: bool) -> Sequence[memoryview] | None:
        """The client's memory; it stays mapped as long as there is a view of it, also when the client has gone."""
        window = self._window
        offset = address - window.start
        if 0 <= offset < window.size and 0 < length <= PAGE_BYTES - (offset & WITHIN):
            entry = window.table[offset >> PAGE_SHIFT]
            if entry & (_WRITES if writable else _READS) and entry < window.memory_bytes:
                begin = entry & PAGE | offset & WITHIN
                return (self._memory[begin : begin + length],)
        try:
            memory, places = self._places(address, length, _WRITE if writable else _READ)
        except (OutsideError, AccessError):
            return None
        return [memory[begin:end] for begin, end in places]

    def _places(self, address: int, length: int, access: Access) -> tuple[memoryview, Sequence[tuple[int, int]]]:
        """The client's memory, and where in it something is."""
        connection = self.connection
        if connection is None:
            if length:
                raise OutsideError
            return _NOTHING, ()
        shared = connection.shared
        return shared.memory, shared.window.places(address, length, access) if length else ()

    # ---- the partner --------------------------------------------------------------------------------------------------------

    @property
    def partner(self) -> Partner | None:
        """Who is attached."""
        return None if self.connection is None else self.connection.partner
