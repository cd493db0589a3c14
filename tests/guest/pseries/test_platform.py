"""The guest's own client of virtual SCSI finds a partner in this process."""

import asyncio

import pytest
from guest.lab.guest import Guest
from guest.pseries.machine import UNIT_ADDRESS
from tgtcore_ibmvio.platform import Adapter, Hcall
from tgtcore_ibmvio.platform.qemu_pseries import QemuPseries, QemuPseriesOptions

INIT = bytes.fromhex("c001") + bytes(14)
INIT_COMPLETE = bytes.fromhex("c002") + bytes(14)
MAD, ADAPTER_INFO, REQUEST_BYTES, INFO_BYTES = 2, 3, 24, 148


class Partner:
    """As much of a server as shakes hands, and keeps what comes then."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.greetings: list[bytes] = []
        self.elements: asyncio.Queue[bytes] = asyncio.Queue()

    def element(self, element: bytes) -> None:
        if element[0] == 0xC0:
            self.greetings.append(element)
            if element == INIT:
                assert self.adapter.send(INIT_COMPLETE) == Hcall.SUCCESS
        else:
            self.elements.put_nowait(element)

    async def next(self) -> bytes:
        return await asyncio.wait_for(self.elements.get(), 30)

    def read(self, address: int, length: int) -> bytes:
        content = bytearray(length)
        assert self.adapter.read(address, memoryview(content)) == Hcall.SUCCESS
        return bytes(content)


async def adapter_info(partner: Partner) -> bytes:
    """The record of itself that the client sends first, having checked how it comes."""
    element = await partner.next()
    assert element[:2] == bytes([0x80, MAD])
    request = partner.read(int.from_bytes(element[8:], "big"), REQUEST_BYTES)
    assert int.from_bytes(request[:4], "big") == ADAPTER_INFO
    assert int.from_bytes(request[6:8], "big") == INFO_BYTES
    return partner.read(int.from_bytes(request[16:], "big"), INFO_BYTES)


@pytest.mark.asyncio
@pytest.mark.provokes("ibmvscsi|scsi host")
async def test_the_client_shakes_hands_and_introduces_itself_and_again_after_a_loss(guest: Guest) -> None:
    options = QemuPseriesOptions.model_validate(
        {"gdb": guest.work / "gdb", "ram": guest.work / "ram", "kernel": guest.kernel.image}
    )
    platform = QemuPseries(options, asyncio.get_running_loop())
    adapter = await platform.open(UNIT_ADDRESS)
    partner = Partner(adapter)
    assert adapter.register(partner) == Hcall.CLOSED
    loading = asyncio.create_task(asyncio.to_thread(guest.run, "modprobe ibmvscsi init_timeout=3", timeout_s=100))
    info = await adapter_info(partner)
    assert info.startswith(b"16.a\0")
    assert partner.greetings == [INIT]

    assert adapter.free() == Hcall.SUCCESS
    # It takes note, registers a new queue, and is told that nobody is there.
    assert adapter.register(partner) in (Hcall.SUCCESS, Hcall.CLOSED)
    assert adapter.send(INIT) in (Hcall.SUCCESS, Hcall.CLOSED)
    assert await adapter_info(partner)
    await loading
    await asyncio.to_thread(guest.run, "rmmod ibmvscsi")
    assert (await partner.next())[:2] == b"\xff\x02"
    assert adapter.send(INIT) == Hcall.CLOSED
    adapter.free()
    await platform.release(adapter)
    await platform.close()
    await asyncio.to_thread(guest.run, "true")
