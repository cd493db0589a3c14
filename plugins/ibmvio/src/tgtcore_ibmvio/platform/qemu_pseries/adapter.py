"""The server's end of an adapter whose client is a guest's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tgtcore_ibmvio.platform.contract import Adapter, Listener, Partner
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.qemu_pseries.client import Client
from tgtcore_ibmvio.platform.qemu_pseries.window import Access
from tgtcore_ibmvio.platform.transport_event import TransportEvent

if TYPE_CHECKING:
    from tgtcore import Buffer

COPY_BYTES_MAX = 1 << 20
"""More is never needed at once, and the copy holds up the loop."""


class QemuAdapter(Adapter):
    """Calls of the server, which are done at once: the guest's memory is here, and only its interrupt comes later.

    :param partner: what to say of the guest.
    """

    def __init__(self, client: Client, partner: Partner) -> None:
        super().__init__(client.unit_address, COPY_BYTES_MAX)
        self._client = client
        self._partner = partner

    def register(self, listener: Listener) -> Hcall:
        """Be there for the guest."""
        if self._client.listener is not None:
            return Hcall.RESOURCE
        return self._client.serve(listener)

    def free(self) -> Hcall:
        """Be gone; a guest with a queue finds a transport event in it."""
        if self._client.listener is not None:
            self._client.listener = None
            self._client.put_event(TransportEvent.PARTNER_DEREGISTERED)
        return Hcall.SUCCESS

    def send(self, element: bytes) -> Hcall:
        """The element is in the guest's queue at once."""
        return self._client.put(element)

    def enable(self) -> Hcall:
        """It is the guest that migrates, so a queue of the server's is always enabled."""
        return Hcall.PARAMETER if self._client.listener is None else Hcall.SUCCESS

    def ready_for_suspend(self) -> Hcall:
        """Whoever has said that the guest is going to be suspended may suspend it."""
        return self._client.ready_for_suspend()

    def read(self, address: int, into: memoryview) -> Hcall:
        """Copy from the guest's memory."""
        views = self.views(address, len(into), writable=False)
        if views is None:
            return Hcall.PERMISSION
        at = 0
        for view in views:
            into[at : at + len(view)] = view
            at += len(view)
        return Hcall.SUCCESS

    def write(self, address: int, data: "Buffer") -> Hcall:
        """Copy to the guest's memory; nothing of it where not all may be written."""
        source = memoryview(data).cast("B")
        views = self.views(address, len(source), writable=True)
        if views is None:
            return Hcall.PERMISSION
        at = 0
        for view in views:
            view[:] = source[at : at + len(view)]
            at += len(view)
        return Hcall.SUCCESS

    def views(self, address: int, length: int, *, writable: bool) -> Sequence[memoryview] | None:
        """The guest's memory in as few pieces as it has."""
        if not self._client.alive:
            return None
        return self._client.window.views(address, length, Access.WRITE if writable else Access.READ)

    @property
    def partner(self) -> Partner | None:
        """The guest, as long as it runs."""
        return self._partner if self._client.alive else None
