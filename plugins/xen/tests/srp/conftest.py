"""A core with two small devices behind a ring that speaks SRP."""

import asyncio
from uuid import uuid4

import pytest
import pytest_asyncio
from tgtcore_srp.memory import Memory
from tgtcore_xen.frontend.srp import SrpRing
from tgtcore_xen.hba.connection import Limits, RingPlace
from tgtcore_xen.hba.figures import Logged
from tgtcore_xen.platform.emulated import Emulated, EmulatedOptions, EmulatedXen
from tgtcore_xen.srp.connection import SrpConnection

from tgtcore import InitiatorPort, TargetPort
from tgtcore.testing.host import TestHost


class Scene:
    """One guest whose ring is served; its front end is not logged in."""

    def __init__(self, memory_bytes=1 << 24):
        self.loop = asyncio.get_running_loop()
        name = f"srp-{uuid4()}"
        self.machine = EmulatedXen.named(name)
        self.platform = Emulated(EmulatedOptions(machine=name), self.loop)
        self.machine.grants.append(self.platform.grants)
        self.guest = self.machine.create("web1")
        self.host = TestHost(self.loop, "xen", "target")
        self.memory = Memory(memory_bytes)
        self.broken = []
        self.ring = SrpRing(self.guest)

    def connect(self):
        port = InitiatorPort("web1", b"web1".ljust(24, b"\0"), "web1/0")
        self.nexus = self.host.open_nexus(self.host.target, port, TargetPort("xen,1", 1, 1, 4))
        place = RingPlace(self.guest.domid, self.ring.reference, self.ring.port)
        limits = Limits(128, self.memory, Logged())
        self.connection = SrpConnection(
            "virtual HBA web1/0", self.platform, place, self.nexus, None, limits, None, self.broken.append
        )
        self.connection.start()

    async def log_in(self):
        async with asyncio.timeout(5):
            return await self.ring.log_in(bytes(range(16)))

    async def execute(self, cdb, lun=0, **how):
        async with asyncio.timeout(5):
            return await self.ring.command(lun, cdb, **how).done

    async def settle(self):
        for _ in range(10):
            await asyncio.sleep(0)

    async def close(self):
        for lun in range(2):
            self.host.device(lun).release()
        closed = self.loop.create_future()
        self.connection.close(lambda: closed.set_result(None))
        async with asyncio.timeout(5):
            await closed
        self.nexus.close(lambda: None)
        self.ring.close()
        assert self.memory.held_bytes == 0
        assert self.memory.sharers == 0
        assert self.machine.in_use()[:2] == (0, 0)
        assert self.guest.granted == 0
        self.host.check_quiet()


@pytest.fixture
def make_scene():
    """One that is not connected."""
    return Scene


@pytest_asyncio.fixture
async def scene():
    scene = Scene()
    scene.connect()
    yield scene
    await scene.close()


@pytest_asyncio.fixture
async def logged_in(scene):
    await scene.log_in()
    return scene
