"""A machine with one adapter on the test's loop, and client partitions that attach to it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest_asyncio
from tgtcore_ibmvio.platform.emulated import Emulated, EmulatedOptions
from tgtcore_ibmvio.platform.emulated.adapter import EmulatedAdapter
from tgtcore_ibmvio.platform.emulated.client import AsyncClientPartition, Call, Hello
from tgtcore_ibmvio.platform.hcall import Hcall

PATIENCE_S = 10
UNIT_ADDRESS = 0x30000003
START = 0x10_0000_0000
MEMORY_BYTES = 1 << 17
HELLO = Hello(number=7, name="client seven", memory_bytes=MEMORY_BYTES, window_start=START, window_bytes=MEMORY_BYTES)


class Recorder:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.elements: list[bytes] = []

    def element(self, element: bytes) -> None:
        self.elements.append(element)


class Bench:
    """The machine, its adapter, and what the server has heard."""

    hello = HELLO
    start = START

    def __init__(self, directory: Path, **options: object) -> None:
        self.directory = directory
        self.path = directory / f"{UNIT_ADDRESS:x}.sock"
        self.loop = asyncio.get_running_loop()
        self.machine = Emulated(EmulatedOptions(directory=directory, **options), self.loop)
        self.adapter: EmulatedAdapter
        self.heard = Recorder()
        self._clients: list[AsyncClientPartition] = []
        self.mishaps: list[dict[str, object]] = []
        self.loop.set_exception_handler(lambda _, context: self.mishaps.append(context))

    async def start_up(self) -> None:
        self.adapter = await self.machine.open(UNIT_ADDRESS)
        self.adapter.register(self.heard)

    async def attach(self, hello: Hello = HELLO) -> AsyncClientPartition:
        """A client partition whose memory is mapped as it lies, with a queue of one page at the start."""
        client = await AsyncClientPartition.attach(self.path, hello)
        self._clients.append(client)
        client.map(START, 0, MEMORY_BYTES)
        assert await client.call(Call.H_REG_CRQ, START, 4096) in (Hcall.SUCCESS, Hcall.CLOSED)
        return client

    def connect(self) -> socket.socket:
        """A raw connection."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.setblocking(False)
        try:
            link.connect(str(self.path))
        except BaseException:
            link.close()
            raise
        return link

    async def answer(self, link: socket.socket, length: int = 4096) -> bytes:
        """What comes next over a raw connection."""
        return await asyncio.wait_for(self.loop.sock_recv(link, length), PATIENCE_S)

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Let the loop go on until something holds."""
        deadline = self.loop.time() + PATIENCE_S
        while not holds():
            assert self.loop.time() < deadline, f"waited in vain for {what}"
            await asyncio.sleep(0)

    async def end(self) -> None:
        while self._clients:
            self._clients.pop().close()
        if self.adapter in self.machine._adapters:
            await self.machine.release(self.adapter)
        await self.machine.close()
        await asyncio.sleep(0)
        assert self.mishaps == []


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    await made.start_up()
    before = descriptors()
    yield made
    await made.end()
    await made.until(lambda: descriptors() <= before, "the end of all descriptors")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
