"""The front end of a virtual HBA as Linux's xen-scsifront is."""

from tgtcore_xen.frontend.driver import Driver
from tgtcore_xen.frontend.queue import Address, Outcome, Pending, RequestQueue, succeeded
from tgtcore_xen.vscsiif.layout import Act


class FrontEnd(Driver[RequestQueue]):
    """Speaks vscsiif, as guests do."""

    def make_ring(self) -> RequestQueue:
        """See :class:`Driver`."""
        return RequestQueue(self.guest)

    async def begin(
        self, address: Address, cdb: bytes, *, data_out: bytes = b"", room: int = 0, offset: int = 0
    ) -> Pending:
        """Send a command, as soon as there is room for it.

        :param room: how much data-in may come.
        :param offset: where in its first page the data begins.
        :raises ConnectionError: it can't be sent; :class:`~tgtcore_xen.frontend.ring.Broken`: for the back end's fault.
        """
        return (await self.ready()).command(address, cdb, data_out=data_out, room=room, offset=offset)

    async def execute(
        self, address: Address, cdb: bytes, *, data_out: bytes = b"", room: int = 0, offset: int = 0
    ) -> Outcome:
        """Run a command to its end; see :meth:`begin`."""
        return await (await self.begin(address, cdb, data_out=data_out, room=room, offset=offset)).done

    async def abort(self, pending: Pending, address: Address = (0, 0, 0)) -> bool:
        """Abort a command; whether the back end says that it has."""
        queue = await self.ready()
        return succeeded(await queue.manage(Act.ABORT, address, pending.rqid).done)

    async def reset(self, address: Address) -> bool:
        """Reset a virtual device; whether the back end says that it has."""
        return succeeded(await (await self.ready()).manage(Act.RESET, address).done)
