"""The platform of the emulated machine."""

import asyncio
import errno
from typing import TYPE_CHECKING

from tgtcore_xen.platform.contract import Platform
from tgtcore_xen.platform.emulated.channels import EmulatedChannels
from tgtcore_xen.platform.emulated.grants import EmulatedGrants
from tgtcore_xen.platform.emulated.machine import EmulatedXen
from tgtcore_xen.platform.emulated.options import EmulatedOptions
from tgtcore_xen.platform.emulated.store import EmulatedStore

if TYPE_CHECKING:
    from pydantic import BaseModel


class Emulated(Platform):
    """Domain 0, or another one, of an emulated machine, as a back end sees it."""

    Options = EmulatedOptions
    options: EmulatedOptions
    store: EmulatedStore
    grants: EmulatedGrants
    channels: EmulatedChannels

    def __init__(self, options: "BaseModel", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(options, loop)
        self.machine = EmulatedXen.named(self.options.machine, loop)
        self.domid = domid = self.options.domain
        machine = self.machine
        self.store = EmulatedStore(machine.server, domid, loop)
        self.grants = EmulatedGrants(domid, machine.tables, machine.faults)
        self.channels = EmulatedChannels(domid, machine.ports, machine.faults, loop)

    async def open(self) -> None:
        """See :class:`Platform`."""
        if self.machine.faults.store_gone:
            raise OSError(errno.ECONNREFUSED, f"the store of the emulated machine {self.options.machine} has gone")
        self.machine.grants.append(self.grants)

    async def close(self) -> None:
        """See :class:`Platform`."""
        self.die()

    def die(self) -> None:
        """End as a process does that is killed: everything it has is gone at once, and nobody is told; idempotent.

        Who has a view of a mapped page still may use it, and reaches the guest no more.
        """
        self.store.end()
        for mapping in list(self.grants.mappings):
            mapping.detach()
        self.channels.end()
        if self.grants in self.machine.grants:
            self.machine.grants.remove(self.grants)
