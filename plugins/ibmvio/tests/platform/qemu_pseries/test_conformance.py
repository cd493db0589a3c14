"""What a platform promises, with a guest whose calls the test makes; QEMU is the one of these tests."""

import asyncio
from typing import Any

import pytest
from tgtcore_ibmvio.platform import Hcall, Platform
from tgtcore_ibmvio.platform.qemu_pseries.adapter import COPY_BYTES_MAX
from tgtcore_ibmvio.platform.qemu_pseries.hypercalls import Opcode
from tgtcore_ibmvio.platform.qemu_pseries.window import PAGE_BYTES, WINDOW_BYTES
from tgtcore_ibmvio.platform.testing import Client, PlatformConformance

UNIT = 0x71000003
QUEUE_REAL = 0x10000
MEMORY_PAGES = COPY_BYTES_MAX // PAGE_BYTES + 4
MEMORY_REAL = 0x40000
TABLE_REAL = 0x20000
RAM_BYTES = 2 << 20
QUEUE_BYTES = 4096


class GuestClient:
    """Memory for both kinds of access is upside down: each page of the window is another page of the memory."""

    memory = 1 << 20
    memory_bytes = MEMORY_PAGES * PAGE_BYTES
    read_only = 8 << 20
    write_only = read_only + PAGE_BYTES
    unmapped = write_only + PAGE_BYTES
    outside = WINDOW_BYTES

    def __init__(self, guest: Any) -> None:
        self._qemu = guest.qemu
        self._loop = guest.loop
        self._console = guest.machine.clients[UNIT]
        self._slot = 0

    async def map(self) -> None:
        table = (self._real(self.memory + page * PAGE_BYTES) | 3 for page in range(MEMORY_PAGES))
        entries = b"".join(entry.to_bytes(8, "big") for entry in table)
        self._qemu.ram[TABLE_REAL : TABLE_REAL + len(entries)] = entries
        assert await self._qemu.call(Opcode.PUT_TCE_INDIRECT, self.memory, TABLE_REAL, MEMORY_PAGES) == 0
        await self._qemu.map(self.read_only, self._real(self.read_only), 1)
        await self._qemu.map(self.write_only, self._real(self.write_only), 2)
        await self._qemu.map(self.outside - PAGE_BYTES, 0x30000)

    async def register(self) -> Hcall:
        self._qemu.ram[QUEUE_REAL : QUEUE_REAL + QUEUE_BYTES] = bytes(QUEUE_BYTES)
        self._slot = 0
        return Hcall(await self._qemu.register())

    async def free(self) -> Hcall:
        return Hcall(await self._qemu.call(Opcode.FREE_CRQ))

    def send(self, element: bytes) -> Hcall:
        halves = int.from_bytes(element[:8], "big"), int.from_bytes(element[8:], "big")
        return Hcall(self._loop.run_until_complete(self._qemu.call(Opcode.SEND_CRQ, *halves)))

    async def receive(self) -> bytes:
        await self._qemu.until(lambda: self._qemu.running.is_set() and self._qemu.slot(self._slot)[0])
        element = self._qemu.take(self._slot)
        self._slot = (self._slot + 1) % self._qemu.queue_slots
        return bytes(element)

    def peek(self, address: int, length: int) -> bytes:
        return bytes(self._qemu.ram[self._real(at)] for at in range(address, address + length))

    def poke(self, address: int, data: bytes) -> None:
        for at, byte in enumerate(data, address):
            self._qemu.ram[self._real(at)] = byte

    async def migrate(self) -> Hcall:
        return self._console.migrate()

    async def enable(self) -> Hcall:
        return Hcall(await self._qemu.call(Opcode.ENABLE_CRQ))

    async def prepare_for_suspend(self) -> None:
        self._console.prepare_for_suspend()

    async def is_suspendable(self) -> bool:
        return self._console.suspendable

    async def resume(self) -> None:
        self._console.resume()

    def fail(self) -> None:
        self._qemu.end()

    def _real(self, address: int) -> int:
        page, within = divmod(address, PAGE_BYTES)
        if address in range(self.memory, self.memory + self.memory_bytes):
            page = MEMORY_REAL // PAGE_BYTES + MEMORY_PAGES - 1 - (page - self.memory // PAGE_BYTES)
        else:
            page = 0x31 + page - self.read_only // PAGE_BYTES
        return page * PAGE_BYTES + within


class TestQemuPseries(PlatformConformance):
    unit_address = UNIT

    @pytest.fixture(autouse=True)
    def _make(self, guest_with_qemu: Any) -> None:
        self.make_guest = guest_with_qemu

    def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
        self.guest = self.make_guest(loop, RAM_BYTES, QUEUE_BYTES)
        return self.guest

    async def attach(self, unit_address: int) -> Client:
        client = GuestClient(self.guest)
        await client.map()
        return client

    # ---- what can't be here, as :class:`PlatformConformance` tells -----------------------------------------------------------

    test_a_queue_without_a_partner = None  # the guest is there before its adapters are
    test_a_client_that_fails = None  # the guest that comes after it has other adapters
    test_a_full_queue_of_the_server_takes_nothing = None  # each element is heard at once
    test_a_freed_queue_is_gone_with_what_was_in_it = None
    test_a_listener_may_free_the_queue_while_it_hears = None
    test_a_client_that_floods_does_not_stop_the_loop = None  # the guest stands still while the server hears
