"""The platform of emulated partitions."""

import asyncio
from typing import TYPE_CHECKING

from tgtcore_ibmvio.platform.contract import Adapter, Platform
from tgtcore_ibmvio.platform.emulated.adapter import EmulatedAdapter
from tgtcore_ibmvio.platform.emulated.options import EmulatedOptions
from tgtcore_ibmvio.platform.emulated.order import require_order

if TYPE_CHECKING:
    from pydantic import BaseModel


class Emulated(Platform):
    """Partitions as processes: a client partition is any program on this machine that attaches to the socket of an adapter.

    There is an adapter at any unit address; what stands in the place of the hypervisor is memory that server and client share.
    """

    Options = EmulatedOptions
    options: EmulatedOptions

    def __init__(self, options: "BaseModel", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(options, loop)
        self._adapters: dict[Adapter, EmulatedAdapter] = {}

    async def open(self, unit_address: int) -> EmulatedAdapter:
        """Make the adapter's socket.

        :raises OSError: it can't be made, another program has it, or this machine can't emulate partitions.
        """
        require_order()
        adapter = EmulatedAdapter(unit_address, self.options, self.loop)
        self._adapters[adapter] = adapter
        return adapter

    async def release(self, adapter: Adapter) -> None:
        """Remove the adapter's socket; a client that is attached learns that its partner has failed."""
        await self._adapters.pop(adapter).close()

    async def close(self) -> None:
        """Remove the sockets that are left: the machine ends, and clients that are attached learn that."""
        for adapter in list(self._adapters):
            await self.release(adapter)
