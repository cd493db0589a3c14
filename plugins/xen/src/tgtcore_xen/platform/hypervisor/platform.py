"""The platform of a real machine with Xen."""

import asyncio
import errno
import os
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

from tgtcore_xen.platform.contract import Platform
from tgtcore_xen.platform.hypervisor.channels import DeviceChannels
from tgtcore_xen.platform.hypervisor.device import Device
from tgtcore_xen.platform.hypervisor.grants import DeviceGrants
from tgtcore_xen.platform.hypervisor.options import HypervisorOptions
from tgtcore_xen.platform.hypervisor.store import XenStore

STORES = (Path("/run/xenstored/socket"), Path("/var/run/xenstored/socket"), Path("/dev/xen/xenbus"))
"""Where the xenstore may be: its server's socket in domain 0, else the kernel's way to it."""


class Hypervisor(Platform):
    """Domain 0 or a driver domain of Xen on Linux.

    It needs to read and write ``/dev/xen/gntdev``, ``/dev/xen/evtchn`` and the xenstore, and nothing else of root's.
    """

    Options = HypervisorOptions
    options: HypervisorOptions
    store: XenStore
    grants: DeviceGrants
    channels: DeviceChannels

    _opened: ExitStack | None = None

    async def open(self) -> None:
        """Have the store, the grants and the event channels."""
        with ExitStack() as opened:
            self.store = connect(self.options.xenstore, self.loop)
            opened.callback(self.store.close)
            self.grants = DeviceGrants(Device(self.options.gntdev))
            opened.callback(self.grants.close)
            self.channels = DeviceChannels(Device(self.options.evtchn), self.loop)
            opened.callback(self.channels.close)
            self.domid = await self._domid()
            self._opened = opened.pop_all()

    async def close(self) -> None:
        """Let go of everything."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    async def _domid(self) -> int:
        if self.options.domain is not None:
            return self.options.domain
        value = await self.store.own_domid()
        if value is None or not value.isdigit():
            raise OSError(errno.ENODATA, "the xenstore does not know which domain this is: set hypervisor.domain")
        return int(value)


def connect(path: Path | None, loop: asyncio.AbstractEventLoop) -> XenStore:
    """A connection to the xenstore's server.

    :param path: None: one of :data:`STORES`.
    :raises OSError: it can't be reached; the message names it.
    """
    if path is None:
        path = next((store for store in STORES if store.exists()), None)
        if path is None:
            raise OSError(errno.ENOENT, f"no xenstore here: none of {', '.join(map(str, STORES))}")
    try:
        if stat.S_ISCHR(path.stat().st_mode):
            return XenStore(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK), loop, at_once=1)
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(str(path))
            server.setblocking(False)
            return XenStore(server.detach(), loop)
    except OSError as error:
        raise OSError(error.errno, f"the xenstore can't be reached: {error.strerror}", str(path)) from error
