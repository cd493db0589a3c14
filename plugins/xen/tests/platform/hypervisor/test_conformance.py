"""The platform of the hypervisor keeps its promises wherever the kernel and the store's server keep theirs."""

import asyncio
from pathlib import Path

import pytest
from tgtcore_xen.platform.contract import Platform
from tgtcore_xen.platform.emulated import EmulatedXen
from tgtcore_xen.platform.hypervisor import Hypervisor, HypervisorOptions
from tgtcore_xen.platform.testing import GuestSide, PlatformConformance

from tgtcore.testing.waiting import until_async

from .kernel import FakeEvtchn, FakeGntdev, StoreSocket


class Served(Hypervisor):
    """The platform, and the store's server."""

    async def open(self) -> None:
        self.machine = EmulatedXen.named("tested", self.loop)
        path = self.options.xenstore
        self.server = await self.loop.create_unix_server(self._meet, path)
        await super().open()

    async def close(self) -> None:
        await super().close()
        self.server.close()
        await until_async(lambda: self.client.lost)

    def _meet(self) -> StoreSocket:
        """The server's end of the connection."""
        self.client = StoreSocket(self.machine, 0)
        return self.client


class TestHypervisor(PlatformConformance):
    @pytest.fixture(autouse=True)
    def _devices(self, tmp_path, monkeypatch):
        self._socket = tmp_path / "socket"
        fakes = {"gntdev": FakeGntdev, "evtchn": FakeEvtchn}
        monkeypatch.setattr(
            "tgtcore_xen.platform.hypervisor.platform.Device",
            lambda path: fakes[path.name](EmulatedXen.named("tested", self._loop), 0),
        )

    def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
        self._loop = loop
        options = HypervisorOptions(xenstore=self._socket, gntdev=Path("/fake/gntdev"), evtchn=Path("/fake/evtchn"))
        return Served(options, loop)

    def make_guest(self, platform: Platform) -> GuestSide:
        return EmulatedXen.named("tested", platform.loop).create("web1")
