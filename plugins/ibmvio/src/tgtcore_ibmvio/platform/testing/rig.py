"""What the conformance kit works with: a platform with one adapter, and a client partition that does what a test asks."""

import asyncio
from typing import ClassVar, Protocol

from tgtcore.testing.waiting import TurnedLoop
from tgtcore_ibmvio.platform.contract import Adapter, Platform
from tgtcore_ibmvio.platform.hcall import Hcall


class Client(Protocol):
    """A client partition that does what a test asks.

    Its DMA window has memory for both kinds of access, pages for one kind, and a page for none.
    """

    memory: int
    """Address of memory that may be read and written."""
    memory_bytes: int
    """So much of it: at least three pages and the most that one copy may have."""
    read_only: int
    """Address of a page that the server may only read."""
    write_only: int
    """Address of a page that the server may only write."""
    unmapped: int
    """Address of a page of the window that is not mapped."""
    outside: int
    """An address behind the window."""

    async def register(self) -> Hcall:
        """Make a queue of at least 256 slots."""

    async def free(self) -> Hcall:
        """Free it."""

    def send(self, element: bytes) -> Hcall:
        """Put an element into the server's queue."""

    async def receive(self) -> bytes:
        """Wait for the next element."""

    def peek(self, address: int, length: int) -> bytes:
        """What is in its memory."""

    def poke(self, address: int, data: bytes) -> None:
        """Change its memory."""

    async def migrate(self) -> Hcall:
        """Go to another machine."""

    async def enable(self) -> Hcall:
        """Use the queue again after that."""

    async def prepare_for_suspend(self) -> None:
        """Have the server told that it is going to be suspended."""

    async def is_suspendable(self) -> bool:
        """Whether the server has said that it may be."""

    async def resume(self) -> None:
        """Have the server told that it goes on."""

    def fail(self) -> None:
        """End without a word."""


class Recorder:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.elements: list[bytes] = []

    def element(self, element: bytes) -> None:
        """Keep it."""
        self.elements.append(element)


class Rig(TurnedLoop):
    """A platform with one adapter, on a loop of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, platform: Platform, adapter: Adapter) -> None:
        super().__init__(loop)
        self.platform = platform
        self.adapter = adapter
        self.heard = Recorder()

    def until_heard(self, count: int) -> list[bytes]:
        """Let the loop go on until the server has heard so many elements."""
        self.until(lambda: len(self.heard.elements) >= count, f"{count} elements")
        return self.heard.elements


def numbered(number: int) -> bytes:
    """An element that tells which one it is."""
    return b"\x80" + number.to_bytes(7, "big") + (~number & (1 << 64) - 1).to_bytes(8, "big")


class Promises:
    """What all tests ask of the class that a test module derives."""

    unit_address: ClassVar[int] = 0x30000003

    async def attach(self, unit_address: int) -> Client:
        """A client partition that has no queue yet."""
        raise NotImplementedError
