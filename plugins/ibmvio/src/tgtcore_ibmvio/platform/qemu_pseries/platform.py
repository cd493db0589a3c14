"""The platform of QEMU's pSeries guests."""

import asyncio
import errno
from typing import TYPE_CHECKING

from tgtcore_ibmvio.platform.contract import Adapter, Partner, Platform
from tgtcore_ibmvio.platform.qemu_pseries.adapter import QemuAdapter
from tgtcore_ibmvio.platform.qemu_pseries.attach import attach
from tgtcore_ibmvio.platform.qemu_pseries.machine import Machine
from tgtcore_ibmvio.platform.qemu_pseries.memory import GuestMemory
from tgtcore_ibmvio.platform.qemu_pseries.options import QemuPseriesOptions

if TYPE_CHECKING:
    from pydantic import BaseModel


class QemuPseries(Platform):
    """A running guest of ``qemu-system-ppc64 -M pseries`` whose ``spapr-vscsi`` devices become adapters.

    Nothing in QEMU or the guest is changed.  A device has no disks of QEMU's; its unit address (``reg=``) is the adapter's at both
    ends.  The guest has one processor, without KVM, and its kernel must not have begun to use a device before the first adapter is
    opened: what is mapped for it earlier is not known here.  An idle guest takes notice of an interrupt with the next tick of its
    timer: ``nohz=off`` makes that 4 ms at most.  Once the platform is closed, or its process gone, a guest that uses a
    device stands still at its next call until there is a platform again; the devices of another are QEMU's again.
    """

    Options = QemuPseriesOptions
    options: QemuPseriesOptions

    def __init__(self, options: "BaseModel", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(options, loop)
        self._lock = asyncio.Lock()
        self._memory: GuestMemory | None = None
        self.machine: Machine | None = None
        """The guest as it is seen from here, once there is an adapter: a management console would find it here."""
        self._opened: set[int] = set()

    async def open(self, unit_address: int) -> Adapter:
        """Make use of a device; the first call attaches to the guest."""
        machine = await self._attached()
        client = machine.clients.get(unit_address)
        if client is None:
            known = ", ".join(f"{unit:#x}" for unit in machine.clients) or "none"
            raise OSError(errno.ENODEV, f"the guest has no spapr-vscsi at {unit_address:#x} (it has {known})")
        if unit_address in self._opened:
            raise OSError(errno.EBUSY, f"the adapter at {unit_address:#x} is in use")
        self._opened.add(unit_address)
        return QemuAdapter(client, Partner(self.options.partition_number, self.options.partition_name))

    async def release(self, adapter: Adapter) -> None:
        """Make no more use of a device."""
        self._opened.discard(adapter.unit_address)

    async def close(self) -> None:
        """Let the guest run by itself."""
        machine, self.machine = self.machine, None
        memory, self._memory = self._memory, None
        if machine is not None:
            await machine.leave()
        if memory is not None:
            memory.close()

    async def _attached(self) -> Machine:
        async with self._lock:
            if self.machine is None:
                memory = GuestMemory(self.options.ram)
                try:
                    self.machine = await attach(self.options, memory, self.loop)
                except BaseException:
                    memory.close()
                    raise
                self._memory = memory
            return self.machine
