"""The conformance kit of platforms: every promise of :class:`Platform` and :class:`Adapter` as a test.

Subclass it in a test module, and say how a platform is made and how a client partition is attached to its adapter::

    class TestMyPlatform(PlatformConformance):
        def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
            return MyPlatform(MyOptions(), loop)

        async def attach(self, unit_address: int) -> Client:
            return MyClient(...)

Where a machine can't do what a test is about, ``test_... = None`` in the class leaves it out, with the reason.  On QEMU's pSeries
guests the partner is there from the beginning, and does not come back to the same adapter when the guest has ended; a guest
stands still during its calls, so each element is heard at once, no queue of the server's is ever full, and nobody floods a loop.
There the kit runs with a QEMU of tests: a real guest's driver sends what it likes, and what it does is tested by
``tests/guest/pseries``.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, ClassVar, Protocol, TypeVar

try:
    import pytest
except ModuleNotFoundError as missing:
    raise ImportError(f"the conformance kit needs {missing.name}; install it with: pip install pytest") from missing

from tgtcore_ibmvio.platform.contract import ELEMENT_BYTES, Adapter, Platform
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.platform.transport_event import TransportEvent

_Result = TypeVar("_Result")

PATIENCE_S = 20.0
"""How long anything may take."""

_FAILED = TransportEvent.PARTNER_FAILED.element
_DEREGISTERED = TransportEvent.PARTNER_DEREGISTERED.element
_MIGRATED = TransportEvent.MIGRATED.element
_SUSPEND = TransportEvent.PREPARE_FOR_SUSPEND.element
_RESUME = TransportEvent.RESUME.element


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


class Rig:
    """A platform with one adapter, on a loop of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, platform: Platform, adapter: Adapter) -> None:
        self.loop = loop
        self.platform = platform
        self.adapter = adapter
        self.heard = Recorder()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run it to its end."""
        return self.loop.run_until_complete(asyncio.wait_for(work, PATIENCE_S))

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Let the loop go on until something holds."""
        deadline = self.loop.time() + PATIENCE_S
        while not holds():
            assert self.loop.time() < deadline, f"waited in vain for {what}"
            self.loop.run_until_complete(asyncio.sleep(0.001))

    def until_heard(self, count: int) -> list[bytes]:
        """Let the loop go on until the server has heard so many elements."""
        self.until(lambda: len(self.heard.elements) >= count, f"{count} elements")
        return self.heard.elements


def numbered(number: int) -> bytes:
    """An element that tells which one it is."""
    return b"\x80" + number.to_bytes(7, "big") + (~number & (1 << 64) - 1).to_bytes(8, "big")


class PlatformConformance:
    """Tests that every platform passes."""

    unit_address: ClassVar[int] = 0x30000003

    def make_platform(self, loop: asyncio.AbstractEventLoop) -> Platform:
        """A platform that has an adapter at :attr:`unit_address`."""
        raise NotImplementedError

    async def attach(self, unit_address: int) -> Client:
        """A client partition that has no queue yet."""
        raise NotImplementedError

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        """A platform whose adapter nobody uses."""
        loop = asyncio.new_event_loop()
        platform = self.make_platform(loop)
        rig = Rig(loop, platform, loop.run_until_complete(platform.open(self.unit_address)))
        try:
            yield rig
        finally:
            rig.until(lambda: rig.adapter.free() is Hcall.SUCCESS, "the end of the queue")
            rig.run(platform.release(rig.adapter))
            rig.run(platform.close())
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    @pytest.fixture
    def client(self, rig: Rig) -> Iterator[Client]:
        """A client partition; both sides have a queue."""
        rig.adapter.register(rig.heard)
        client = rig.run(self.attach(self.unit_address))
        assert rig.run(client.register()) is Hcall.SUCCESS
        yield client
        client.fail()

    # ---- queues -----------------------------------------------------------------------------------------------------------

    def test_a_queue_without_a_partner(self, rig: Rig) -> None:
        """It is registered once, and freed as often as one likes."""
        assert rig.adapter.unit_address == self.unit_address
        assert rig.adapter.partner is None
        assert rig.adapter.register(rig.heard) is Hcall.CLOSED
        assert rig.adapter.register(rig.heard) is Hcall.RESOURCE
        assert rig.adapter.send(numbered(1)) is Hcall.CLOSED
        assert rig.adapter.free() is Hcall.SUCCESS
        assert rig.adapter.free() is Hcall.SUCCESS
        assert rig.adapter.register(rig.heard) is Hcall.CLOSED
        assert rig.heard.elements == []

    def test_a_partner_without_a_queue(self, rig: Rig) -> None:
        """Who is there is known, and nothing can be sent to it; when it goes nobody hears of that."""
        client = rig.run(self.attach(self.unit_address))
        partner = rig.adapter.partner
        assert partner is not None
        assert 1 <= partner.number <= 0xFFFF
        assert partner.name
        assert rig.adapter.register(rig.heard) is Hcall.CLOSED
        assert rig.adapter.send(numbered(1)) is Hcall.CLOSED
        client.fail()
        rig.until(lambda: rig.adapter.partner is None, "the end of the partner")
        assert rig.heard.elements == []

    def test_a_client_without_a_queue_can_not_send(self, rig: Rig) -> None:
        """Nobody would hear of its end: the server must not begin anything with it."""
        rig.adapter.register(rig.heard)
        client = rig.run(self.attach(self.unit_address))
        assert client.send(numbered(1)) is Hcall.CLOSED
        assert rig.run(client.register()) is Hcall.SUCCESS
        assert client.send(numbered(2)) is Hcall.SUCCESS
        assert rig.run(client.free()) is Hcall.SUCCESS
        assert client.send(numbered(3)) is Hcall.CLOSED
        assert rig.until_heard(2) == [numbered(2), _DEREGISTERED]
        client.fail()
        rig.until(lambda: rig.adapter.partner is None, "the end of the partner")
        assert rig.heard.elements == [numbered(2), _DEREGISTERED]

    def test_a_server_that_comes_second_finds_its_partner(self, rig: Rig) -> None:
        """And the client can't send before."""
        client = rig.run(self.attach(self.unit_address))
        assert rig.run(client.register()) is Hcall.CLOSED
        assert client.send(numbered(1)) is Hcall.CLOSED
        assert rig.adapter.register(rig.heard) is Hcall.SUCCESS
        assert client.send(numbered(2)) is Hcall.SUCCESS
        assert rig.until_heard(1) == [numbered(2)]
        client.fail()

    def test_elements_go_both_ways_in_order(self, rig: Rig, client: Client) -> None:
        """Several times round the queues."""
        for round_ in range(20):
            batch = [numbered(round_ * 100 + number) for number in range(100)]
            for element in batch:
                assert client.send(element) is Hcall.SUCCESS
                assert rig.adapter.send(element) is Hcall.SUCCESS
            assert rig.until_heard(100) == batch
            assert [rig.run(client.receive()) for _ in batch] == batch
            rig.heard.elements.clear()

    def test_a_full_queue_of_the_client_takes_nothing(self, rig: Rig, client: Client) -> None:
        """Nothing is lost then, and there is room when the client has taken something."""
        sent = 0
        while (code := rig.adapter.send(numbered(sent))) is Hcall.SUCCESS:
            sent += 1
        assert code is Hcall.DROPPED
        assert rig.adapter.send(numbered(sent)) is Hcall.DROPPED
        assert rig.run(client.receive()) == numbered(0)
        assert rig.run(client.receive()) == numbered(1)
        assert rig.adapter.send(numbered(sent)) is Hcall.SUCCESS
        assert [rig.run(client.receive()) for _ in range(sent - 1)] == [numbered(n) for n in range(2, sent + 1)]

    def test_a_full_queue_of_the_server_takes_nothing(self, rig: Rig, client: Client) -> None:
        """The client is told, and what it has sent is heard."""
        sent = 0
        while (code := client.send(numbered(sent))) is Hcall.SUCCESS:
            sent += 1
        assert code is Hcall.DROPPED
        assert rig.until_heard(sent) == [numbered(n) for n in range(sent)]
        assert client.send(numbered(sent)) is Hcall.SUCCESS
        assert rig.until_heard(sent + 1)[-1] == numbered(sent)

    def test_a_freed_queue_is_gone_with_what_was_in_it(self, rig: Rig, client: Client) -> None:
        """Nobody hears anything more, the client hears of that, and a new queue is empty."""
        assert client.send(numbered(1)) is Hcall.SUCCESS
        assert rig.adapter.free() is Hcall.SUCCESS
        assert rig.run(client.receive()) == _DEREGISTERED
        assert client.send(numbered(2)) is Hcall.CLOSED
        later = Recorder()
        assert rig.adapter.register(later) is Hcall.SUCCESS
        assert client.send(numbered(3)) is Hcall.SUCCESS
        rig.until(lambda: bool(later.elements), "an element")
        assert (rig.heard.elements, later.elements) == ([], [numbered(3)])

    def test_a_listener_may_free_the_queue_while_it_hears(self, rig: Rig, client: Client) -> None:
        """It hears nothing more, though there is more."""

        class Leaver(Recorder):
            def element(self, element: bytes) -> None:
                super().element(element)
                rig.adapter.free()

        rig.adapter.free()
        leaver = Leaver()
        assert rig.run(client.receive()) == _DEREGISTERED
        assert rig.adapter.register(leaver) is Hcall.SUCCESS
        assert [client.send(numbered(n)) for n in range(3)] == [Hcall.SUCCESS] * 3
        assert rig.run(client.receive()) == _DEREGISTERED
        assert leaver.elements == [numbered(0)]

    def test_a_client_that_frees_its_queue(self, rig: Rig, client: Client) -> None:
        """The server hears of it after what was sent before, and again after the next time."""
        for time in range(2):
            rig.heard.elements.clear()
            sent = [numbered(time * 100 + n) for n in range(100)]
            assert [client.send(element) for element in sent] == [Hcall.SUCCESS] * 100
            assert rig.run(client.free()) is Hcall.SUCCESS
            assert rig.until_heard(101) == [*sent, _DEREGISTERED]
            assert rig.adapter.send(numbered(1)) is Hcall.CLOSED
            assert rig.adapter.partner is not None
            assert rig.run(client.register()) is Hcall.SUCCESS
            assert rig.adapter.send(numbered(2)) is Hcall.SUCCESS
            assert rig.run(client.receive()) == numbered(2)

    def test_a_client_that_fails(self, rig: Rig, client: Client) -> None:
        """The server hears of it after what was sent before; another one can come."""
        sent = [numbered(n) for n in range(100)]
        assert [client.send(element) for element in sent] == [Hcall.SUCCESS] * 100
        client.fail()
        assert rig.until_heard(101) == [*sent, _FAILED]
        assert rig.adapter.partner is None
        assert rig.adapter.send(numbered(1)) is Hcall.CLOSED
        assert rig.adapter.write(client.memory, b"late") is not Hcall.SUCCESS
        other = rig.run(self.attach(self.unit_address))
        assert rig.run(other.register()) is Hcall.SUCCESS
        assert other.send(numbered(5)) is Hcall.SUCCESS
        assert rig.until_heard(102)[-1] == numbered(5)
        other.fail()

    def test_a_client_that_migrates(self, rig: Rig, client: Client) -> None:
        """Both sides hear of it, and elements go both ways when the queue is enabled again."""
        assert client.send(numbered(1)) is Hcall.SUCCESS
        assert rig.run(client.migrate()) is Hcall.SUCCESS
        assert rig.until_heard(2) == [numbered(1), _MIGRATED]
        assert rig.run(client.receive()) == _MIGRATED
        rig.until(lambda: rig.adapter.enable() is Hcall.SUCCESS, "the server's queue")
        assert rig.run(client.enable()) is Hcall.SUCCESS
        assert client.send(numbered(2)) is Hcall.SUCCESS
        assert rig.adapter.send(numbered(3)) is Hcall.SUCCESS
        assert rig.until_heard(3)[-1] == numbered(2)
        assert rig.run(client.receive()) == numbered(3)

    def test_a_client_that_is_suspended(self, rig: Rig, client: Client) -> None:
        """The server is asked whether it is ready for that, each time anew, and nobody is lost."""
        assert rig.adapter.ready_for_suspend() is Hcall.PARAMETER
        for round_ in range(2):
            assert client.send(numbered(round_)) is Hcall.SUCCESS
            rig.run(client.prepare_for_suspend())
            assert rig.until_heard(3 * round_ + 2)[-2:] == [numbered(round_), _SUSPEND]
            assert not rig.run(client.is_suspendable())
            assert rig.adapter.ready_for_suspend() is Hcall.SUCCESS
            assert rig.run(client.is_suspendable())
            rig.run(client.resume())
            assert rig.until_heard(3 * round_ + 3)[-1] == _RESUME
            assert rig.adapter.ready_for_suspend() is Hcall.PARAMETER

    def test_a_server_that_comes_when_a_client_is_going_to_be_suspended(self, rig: Rig, client: Client) -> None:
        """It was not told, and so it is not ready."""
        rig.run(client.prepare_for_suspend())
        assert rig.until_heard(1) == [_SUSPEND]
        rig.adapter.free()
        rig.adapter.register(Recorder())
        assert rig.adapter.ready_for_suspend() is Hcall.PARAMETER
        assert not rig.run(client.is_suspendable())

    def test_a_client_that_floods_does_not_stop_the_loop(self, rig: Rig, client: Client) -> None:
        """What else the loop has to do gets its turn, and every element is heard."""

        class Flooder(Recorder):
            def element(self, element: bytes) -> None:
                super().element(element)
                if len(self.elements) < 2000:
                    client.send(element)

        rig.adapter.free()
        flooder = Flooder()
        assert rig.adapter.register(flooder) is Hcall.SUCCESS
        turns = []

        def turn() -> None:
            turns.append(len(flooder.elements))
            if len(flooder.elements) < 2000:
                rig.loop.call_soon(turn)

        assert client.send(numbered(1)) is Hcall.SUCCESS
        turn()
        rig.until(lambda: len(flooder.elements) == 2000, "2000 elements")
        assert len(turns) > 10, "the loop had to wait for the flood"

    # ---- memory -----------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("length", [1, 7, 16, 4095, 4096, 4097, 8192, 12001])
    @pytest.mark.parametrize("within", [0, 1, 4000])
    def test_copies(self, rig: Rig, client: Client, length: int, within: int) -> None:
        """Of every length and at every place, and nothing beside them changes."""
        length = min(length, client.memory_bytes - within, rig.adapter.copy_bytes_max)
        address = client.memory + within
        data = bytes(byte % 251 + 1 for byte in range(length))
        client.poke(address, bytes(length))
        assert rig.adapter.write(address, data) is Hcall.SUCCESS
        assert client.peek(address, length) == data
        into = bytearray(length + 2)
        assert rig.adapter.read(address, memoryview(into)[1:-1]) is Hcall.SUCCESS
        assert into == b"\0" + data + b"\0"

    def test_the_longest_copy(self, rig: Rig, client: Client) -> None:
        """It may have as much as the adapter says."""
        data = bytearray(rig.adapter.copy_bytes_max)
        data[-1] = 7
        assert rig.adapter.write(client.memory, data) is Hcall.SUCCESS
        into = bytearray(len(data))
        assert rig.adapter.read(client.memory, memoryview(into)) is Hcall.SUCCESS
        assert into == data

    def test_nothing_to_copy(self, rig: Rig, client: Client) -> None:
        """It is done at once."""
        assert rig.adapter.write(client.memory, b"") is Hcall.SUCCESS
        assert rig.adapter.read(client.memory, memoryview(b"")) is Hcall.SUCCESS

    def test_what_may_not_be_read(self, rig: Rig, client: Client) -> None:
        """The answer says so, and what may only be written can be written."""
        into = memoryview(bytearray(ELEMENT_BYTES))
        for address in (client.write_only, client.unmapped, client.outside, (1 << 64) - 8, client.outside - 8):
            assert rig.adapter.read(address, into) in (Hcall.PERMISSION, Hcall.SOURCE_PARM), hex(address)
            assert rig.adapter.views(address, ELEMENT_BYTES, writable=False) is None
        assert rig.adapter.write(client.write_only, b"something") is Hcall.SUCCESS
        assert client.peek(client.write_only, 9) == b"something"

    def test_what_may_not_be_written(self, rig: Rig, client: Client) -> None:
        """The answer says so, nothing has changed, and what may only be read can be read."""
        client.poke(client.read_only, b"something")
        data = bytes(ELEMENT_BYTES)
        for address in (client.read_only, client.unmapped, client.outside, (1 << 64) - 8, client.outside - 8):
            assert rig.adapter.write(address, data) in (Hcall.PERMISSION, Hcall.DEST_PARM), hex(address)
            assert rig.adapter.views(address, ELEMENT_BYTES, writable=True) is None
        into = bytearray(9)
        assert rig.adapter.read(client.read_only, memoryview(into)) is Hcall.SUCCESS
        assert into == b"something"

    def test_memory_that_is_mapped(self, rig: Rig, client: Client) -> None:
        """Views are the memory itself, and outlive the client."""
        length = 8192
        views = rig.adapter.views(client.memory + 100, length, writable=True)
        if views is None:
            assert rig.adapter.views(client.memory, length, writable=False) is None
            return
        assert sum(len(view) for view in views) == length
        client.poke(client.memory + 100, bytes(byte % 256 for byte in range(length)))
        assert b"".join(views) == client.peek(client.memory + 100, length)
        views[0][0] = 77
        assert client.peek(client.memory + 100, 1) == bytes([77])
        client.fail()
        rig.until(lambda: rig.adapter.partner is None, "the end of the partner")
        views[-1][-1] = 78
        assert views[-1][-1] == 78
