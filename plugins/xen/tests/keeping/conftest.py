"""A transport on an emulated machine, as the daemon starts, stops and kills it."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from tgtcore_xen.frontend import FrontEnd
from tgtcore_xen.keeping import keeper, wishes
from tgtcore_xen.options import XenOptions, XenTargetOptions
from tgtcore_xen.platform.emulated import EmulatedXen
from tgtcore_xen.transport import XenTransport

from tgtcore import Identity, LogicalUnit, NoOptions
from tgtcore.logical_unit.identity import derived_unique_id
from tgtcore.testing.host import SmallDevice, TestHost
from tgtcore.testing.waiting import until_async

DEADLINE_S = 10


class Site:
    """A host with one target "disks", the machine, and one transport after the other."""

    def __init__(self, journal, hbas, keys):
        self.host = TestHost(asyncio.get_running_loop(), "xen", "disks", XenTargetOptions())
        self.machine = EmulatedXen.named("lab")
        self.journal = journal
        self.keys = keys
        self.hbas = hbas
        self.transport = None

    def options(self, *hbas, **keys):
        portals = tuple({"address": hba, "target": "disks"} for hba in hbas)
        made = {"portals": portals, "platform": "emulated", "emulated": {"machine": "lab"}, "journal": self.journal}
        return XenOptions(**{**made, "close_s": 0.2, **self.keys, **keys})

    @property
    def target(self):
        return self.host.target

    async def start(self):
        self.transport = XenTransport(self.host, self.options(*self.hbas))
        await self.transport.start()

    async def stop(self):
        """As the daemon does when it ends."""
        transport, self.transport = self.transport, None
        await transport.stop_listening()
        for session in transport.sessions():
            transport.ask_to_log_out([session.id], 1)
            await transport.drop_session(session.id)
        await transport.close()

    async def kill(self):
        """As the system does: nothing is told, nothing is written, nothing is waited for."""
        transport, self.transport = self.transport, None
        transport._around.machine.die()
        for one in transport._keepers.values():
            one.looking.task.cancel()
            if one.session is not None:
                one.session.connection._stopped = True
        transport._ticking.cancel()
        for nexus in self.target.nexuses:
            nexus.close(lambda: None)

    async def attach(self, *hbas):
        await self.transport.apply_options(self.options(*hbas))

    def guest(self, name="web1", **how):
        return self.machine.create(name, **how)

    async def connected(self, guest, number=0):
        """A front end of a guest that is connected and has all its devices."""
        front = FrontEnd(guest, number)
        await front.connect()
        await self.until(lambda: self.is_settled(f"{guest.name}/{number}"))
        return front

    def is_settled(self, hba="web1/0"):
        """Whether both ends are connected, and say so of all logical units."""
        shown = self.shown(hba)
        return shown["back_end"] == "connected" and set(shown["devices"].values()) <= {"connected / connected"}

    def is_ready(self, guest, number=0):
        """Whether a guest finds its nodes."""
        return self.store(f"{guest.home}/device/vscsi/{number}/state") is not None

    def another(self, lun):
        """One more logical unit, found at once."""
        identity = Identity.make(f"lu{lun}", derived_unique_id("host", str(lun)))
        lu = LogicalUnit(identity, SmallDevice, None, NoOptions())
        self.host.lus.append(lu)
        self.target.map(lun, lu)
        self.transport.luns_changed(self.target)

    def shown(self, hba="web1/0"):
        return self.transport.statistics()["hbas"][hba]

    @property
    def keeper(self):
        """Of web1/0."""
        return self.transport._keepers["web1/0"]

    async def until(self, true):
        """Wait until something is true."""
        await until_async(true, DEADLINE_S, self.transport and self.transport.statistics)

    def store(self, path):
        """The value of a node; None: there is none."""
        try:
            return self.machine.server.read(0, path).decode()
        except FileNotFoundError:
            return None

    def back(self, name, guest, number=0):
        return self.store(f"/local/domain/0/backend/vscsi/{guest.domid}/{number}/{name}")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Opens a site whose transport has started; at the end nothing may be in use."""
    monkeypatch.setattr(keeper, "AFRESH_S", 0.02)
    monkeypatch.setattr(wishes, "LETS_GO_S", 0.2)

    @asynccontextmanager
    async def open_one(*hbas, **keys):
        made = Site(tmp_path / "journal", hbas, keys)
        before = made.machine.in_use()
        await made.start()
        yield made
        if made.transport is not None:
            await made.stop()
        for guest in list(made.machine.guests.values()):
            guest.destroy()
        after = made.machine.in_use()
        assert (after.mapped, after.bound, after.watches, after.transactions) == (0, 0, before.watches, 0)
        made.host.check_quiet()

    return open_one
