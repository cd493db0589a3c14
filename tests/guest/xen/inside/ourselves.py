"""Domain 0 as its own guest: pages by ``/dev/xen/gntalloc``, event channels by ``/dev/xen/evtchn``."""

import asyncio
import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path

from tgtcore_xen.platform.contract import PAGE_BYTES, Platform
from tgtcore_xen.platform.hypervisor.device import NOTIFY, PORT, UNBIND, Device

_ALLOCATE, _FREE = 24 << 16 | ord("G") << 8 | 5, 16 << 16 | ord("G") << 8 | 6
_GRANT = struct.Struct("<HHIQI4x")  # ioctl_gntalloc_alloc_gref: domain, flags (1: writable), count, index, reference
_GRANTED = struct.Struct("<QI4x")  # ioctl_gntalloc_dealloc_gref
_BIND_UNBOUND = 4 << 16 | ord("E") << 8 | 2


class OwnPage:
    """A page of ours."""

    def __init__(self, device: Device, domid: int, *, writable: bool) -> None:
        self._device = device
        argument = bytearray(_GRANT.pack(domid, int(writable), 1, 0, 0))
        device.call(_ALLOCATE, argument)
        _, _, _, self._index, self.reference = _GRANT.unpack(argument)
        self._memory: mmap.mmap | None = device.map(self._index, PAGE_BYTES)
        self.view = memoryview(self._memory)

    def end(self) -> None:
        if self._memory is not None:
            self.view.release()
            self._memory.close()
            self._memory = None
            self._device.call(_FREE, bytearray(_GRANTED.pack(self._index, 1)))


class OwnChannel:
    """A guest's end of an event channel of ours, with a device of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, domid: int, told: Callable[[], None]) -> None:
        self._loop = loop
        self._told = told
        self._device = Device(Path("/dev/xen/evtchn"))
        self.port = self._device.call(_BIND_UNBOUND, bytearray(PORT.pack(domid)))
        loop.add_reader(self._device.descriptor, self._readable)

    def _readable(self) -> None:
        ports = os.read(self._device.descriptor, 64)
        self._told()
        self._device.write(ports)

    def notify(self) -> None:
        self._device.call(NOTIFY, bytearray(PORT.pack(self.port)))

    def close(self) -> None:
        if self._device.descriptor >= 0:
            self._loop.remove_reader(self._device.descriptor)
            self._device.call(UNBIND, bytearray(PORT.pack(self.port)))
            self._device.close()


class Ourselves:
    """See :class:`tgtcore_xen.platform.testing.GuestSide`."""

    def __init__(self, platform: Platform) -> None:
        self.domid = platform.domid
        self._loop = platform.loop
        self._device = Device(Path("/dev/xen/gntalloc"))
        self._made: list[OwnPage | OwnChannel] = []

    def share(self, *, writable: bool) -> OwnPage:
        page = OwnPage(self._device, self.domid, writable=writable)
        self._made.append(page)
        return page

    def listen(self, told: Callable[[], None]) -> OwnChannel:
        channel = OwnChannel(self._loop, self.domid, told)
        self._made.append(channel)
        return channel

    def close(self) -> None:
        for made in self._made:
            made.close() if isinstance(made, OwnChannel) else made.end()
        self._device.close()
