"""The conformance kit of platforms: every promise of :mod:`tgtcore_xen.platform.contract` as a test.

Subclass it in a test module, and say how a platform is made and what a guest does beside it::

    class TestMyPlatform(PlatformConformance):
        def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
            return MyPlatform(MyOptions(), loop)

        def make_guest(self, platform: Platform) -> GuestSide:
            return MyGuest(...)
"""

import asyncio
from collections.abc import Iterator
from typing import ClassVar

try:
    import pytest
except ModuleNotFoundError as missing:
    raise ImportError(f"the conformance kit needs {missing.name}; install it with: pip install pytest") from missing

from tgtcore_xen.platform.contract import Platform
from tgtcore_xen.platform.testing.channels import ChannelPromises
from tgtcore_xen.platform.testing.grants import GrantPromises
from tgtcore_xen.platform.testing.rig import GuestChannel, GuestSide, Rig, SharedPage
from tgtcore_xen.platform.testing.store import StorePromises
from tgtcore_xen.platform.testing.transactions import TransactionPromises
from tgtcore_xen.platform.testing.watches import WatchPromises

__all__ = ["GuestChannel", "GuestSide", "PlatformConformance", "Rig", "SharedPage"]


class PlatformConformance(StorePromises, WatchPromises, TransactionPromises, GrantPromises, ChannelPromises):
    """Tests that every platform passes."""

    folder: ClassVar[str] = "/tool/tgtcore-conformance"
    """A node of the store that the tests may use."""

    def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
        """A platform that has not been opened."""
        raise NotImplementedError

    def make_guest(self, platform: Platform) -> GuestSide:
        """A guest whose back end is the platform's domain."""
        raise NotImplementedError

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        """A platform that is open, and a guest."""
        loop = asyncio.new_event_loop()
        platform = self.make_platform(loop)
        loop.run_until_complete(platform.open())
        guest = self.make_guest(platform)
        rig = Rig(loop, platform, guest, self.folder)
        try:
            yield rig
        finally:
            guest.close()
            rig.run(platform.store.remove(self.folder))
            rig.run(platform.close())
            rig.run(platform.close())
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
