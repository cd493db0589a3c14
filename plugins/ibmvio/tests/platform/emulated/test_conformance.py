"""The emulated machine keeps every promise of a platform."""

import asyncio
from pathlib import Path

import pytest
from tgtcore_ibmvio.platform import Hcall, Platform
from tgtcore_ibmvio.platform.emulated import Emulated, EmulatedOptions
from tgtcore_ibmvio.platform.emulated.client import Access, AsyncClientPartition, Call, Hello
from tgtcore_ibmvio.platform.testing import Client, PlatformConformance

PAGE = 4096
START = 0x10_0000_0000
MEMORY_PAGES = 64
HELLO = Hello(number=7, name="client seven", memory_bytes=80 * PAGE, window_start=START, window_bytes=100 * PAGE)


class EmulatedClient:
    """Memory for both kinds of access is upside down: each page of the window is another page of the memory."""

    memory = START + PAGE
    memory_bytes = MEMORY_PAGES * PAGE
    read_only = START + 65 * PAGE
    write_only = START + 66 * PAGE
    unmapped = START + 67 * PAGE
    outside = START + 100 * PAGE

    def __init__(self, partition: AsyncClientPartition) -> None:
        self.partition = partition
        for page in range(MEMORY_PAGES):
            partition.map(self.memory + page * PAGE, self._offset(page), PAGE)
        partition.map(self.read_only, 65 * PAGE, PAGE, Access.READ)
        partition.map(self.write_only, 66 * PAGE, PAGE, Access.WRITE)
        partition.map(START + 98 * PAGE, 70 * PAGE, 2 * PAGE)
        partition.map(START, 68 * PAGE, PAGE)
        self._taken: list[bytes] = []

    async def register(self) -> Hcall:
        return await self.partition.call(Call.H_REG_CRQ, START, PAGE)

    async def free(self) -> Hcall:
        return await self.partition.call(Call.H_FREE_CRQ)

    def send(self, element: bytes) -> Hcall:
        return self.partition.send(element)

    async def receive(self) -> bytes:
        if not self._taken:
            self._taken = await self.partition.receive(20)
        return self._taken.pop(0)

    def peek(self, address: int, length: int) -> bytes:
        return bytes(self.partition.memory[at] for at in self._bytes(address, length))

    def poke(self, address: int, data: bytes) -> None:
        for at, byte in zip(self._bytes(address, len(data)), data, strict=True):
            self.partition.memory[at] = byte

    async def migrate(self) -> Hcall:
        return await self.partition.call(Call.MIGRATE)

    async def enable(self) -> Hcall:
        return await self.partition.call(Call.H_ENABLE_CRQ)

    async def prepare_for_suspend(self) -> None:
        assert await self.partition.call(Call.PREPARE_FOR_SUSPEND) is Hcall.SUCCESS

    async def is_suspendable(self) -> bool:
        return await self.partition.call(Call.SUSPEND) is Hcall.SUCCESS

    async def resume(self) -> None:
        assert await self.partition.call(Call.RESUME) is Hcall.SUCCESS

    def fail(self) -> None:
        self.partition.close()

    def _bytes(self, address: int, length: int) -> list[int]:
        return [self._offset((at - self.memory) // PAGE) + at % PAGE for at in range(address, address + length)]

    @staticmethod
    def _offset(page: int) -> int:
        return (MEMORY_PAGES - page if page < MEMORY_PAGES else page + 1) * PAGE


class TestEmulated(PlatformConformance):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
        return Emulated(EmulatedOptions(directory=self.directory), loop)

    async def attach(self, unit_address: int) -> Client:
        return EmulatedClient(await AsyncClientPartition.attach(self.directory / f"{unit_address:x}.sock", HELLO))
