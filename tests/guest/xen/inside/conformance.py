"""The real hypervisor keeps every promise of a platform; and so it does through the kernel's way to the store."""

import asyncio
from pathlib import Path
from typing import ClassVar

import pytest
from guest.xen.inside.ourselves import Ourselves
from tgtcore_xen.platform.contract import Platform
from tgtcore_xen.platform.hypervisor import Hypervisor, HypervisorOptions
from tgtcore_xen.platform.testing import GuestSide, PlatformConformance


class TestHypervisor(PlatformConformance):
    xenstore: ClassVar[Path | None] = None

    def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
        return Hypervisor(HypervisorOptions(xenstore=self.xenstore), loop)

    def make_guest(self, platform: Platform) -> GuestSide:
        return Ourselves(platform)


class TestKernelsWayToTheStore(TestHypervisor):
    xenstore = Path("/dev/xen/xenbus")


def main() -> int:
    return int(pytest.main(["-q", "-p", "no:cacheprovider", "-W", "error", "--durations=5", __file__]))
