"""The conformance kit of platforms: every promise of :class:`Platform` and :class:`Adapter` as a test.

Subclass it in a test module, and say how a platform is made and how a client partition is attached to its adapter::

    class TestMyPlatform(PlatformConformance):
        def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
            return MyPlatform(MyOptions(), loop)

        async def attach(self, unit_address: int) -> Client:
            return MyClient(...)

Where a machine can't do what a test is about, ``test_... = None`` in the class leaves it out, with the reason.  On QEMU's pSeries
guests the partner is there from the beginning, and does not come back to the same adapter when the guest has ended; a guest
stands still during its calls, so each element is heard at once, no queue of the server's is ever full, and nobody floods a loop.
There the kit runs with a QEMU of tests: a real guest's driver sends what it likes, and what it does is tested by
``tests/guest/pseries``.
"""

import asyncio
from collections.abc import Iterator

try:
    import pytest
except ModuleNotFoundError as missing:
    raise ImportError(f"the conformance kit needs {missing.name}; install it with: pip install pytest") from missing

from tgtcore_ibmvio.platform.contract import Platform
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.testing.lives import LifePromises
from tgtcore_ibmvio.platform.testing.memory import MemoryPromises
from tgtcore_ibmvio.platform.testing.queues import QueuePromises
from tgtcore_ibmvio.platform.testing.rig import Client, Recorder, Rig

__all__ = ["Client", "PlatformConformance", "Recorder", "Rig"]


class PlatformConformance(QueuePromises, LifePromises, MemoryPromises):
    """Tests that every platform passes."""

    def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
        """A platform that has an adapter at :attr:`unit_address`."""
        raise NotImplementedError

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        """A platform whose adapter nobody uses."""
        loop = asyncio.new_event_loop()
        platform = self.make_platform(loop)
        rig = Rig(loop, platform, loop.run_until_complete(platform.open(self.unit_address)))
        try:
            yield rig
        finally:
            rig.until(lambda: rig.adapter.free() is Hcall.SUCCESS, "the end of the queue")
            rig.run(platform.release(rig.adapter))
            rig.run(platform.close())
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    @pytest.fixture
    def client(self, rig: Rig) -> Iterator[Client]:
        """A client partition; both sides have a queue."""
        rig.adapter.register(rig.heard)
        client = rig.run(self.attach(self.unit_address))
        assert rig.run(client.register()) is Hcall.SUCCESS
        yield client
        client.fail()
