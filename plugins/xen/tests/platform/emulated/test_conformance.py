"""The emulated machine keeps every promise of a platform."""

import asyncio

from tgtcore_xen.platform.contract import Platform
from tgtcore_xen.platform.emulated import Emulated, EmulatedOptions, EmulatedXen
from tgtcore_xen.platform.testing import GuestSide, PlatformConformance


class TestEmulated(PlatformConformance):
    def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
        return Emulated(EmulatedOptions(machine="tested"), loop)

    def make_guest(self, platform: Platform) -> GuestSide:
        return EmulatedXen.named("tested", platform.loop).create("web1")
