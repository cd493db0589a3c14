"""A machine with a guest, and the back end's platform."""

import asyncio

import pytest
import pytest_asyncio
from tgtcore_xen.platform.emulated import Emulated, EmulatedOptions, EmulatedXen


@pytest_asyncio.fixture
async def machine():
    return EmulatedXen.named("tested")


@pytest_asyncio.fixture
async def guest(machine):
    guest = machine.create("web1")
    yield guest
    guest.destroy()


@pytest_asyncio.fixture
async def platform(machine):
    platform = Emulated(EmulatedOptions(machine="tested"), machine.loop)
    await platform.open()
    yield platform
    await platform.close()


@pytest.fixture
def settle():
    """Let what was called soon happen."""

    async def settle():
        for _ in range(3):
            await asyncio.sleep(0)

    return settle
