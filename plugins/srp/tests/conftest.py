"""A core with a small device behind SRP channels, whose fabric does what the test says, and initiators that speak unit by unit."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tgtcore_srp.channel import Channel
from tgtcore_srp.errors import Rejected
from tgtcore_srp.fabric import Fabric, Moved, Segment
from tgtcore_srp.identity import initiator_port, target_port
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.login import LoginRequest, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import BufferFormats, RejectReason
from tgtcore_srp.iu.others import CreditRequest
from tgtcore_srp.iu.response import Response
from tgtcore_srp.iu.table import FromTarget, parse_from_target
from tgtcore_srp.memory import Memory
from tgtcore_srp.port import SrpPort
from tgtcore_srp.quirks import Quirks
from tgtcore_srp.slots import Slot
from tgtcore_srp.states import State

from tgtcore import Buffer, Nexus, Region
from tgtcore.testing.host import SmallDevice, TestHost

TARGET_PORT = bytes(range(16))
IU_BYTES_MAX = 4096
RAM_BYTES = 1 << 17
KEY = 0x5A5A

Moving = tuple[Callable[[], None], Callable[[bool], None]]
"""RDMA that goes on: what it does, and who waits for it."""


class WireFabric(Fabric):
    """A channel of an initiator with memory; RDMA and sending happen at once, or when the test says so."""

    def __init__(self, may_request: bool, iu_bytes_max: int = IU_BYTES_MAX, ram: bytearray | None = None) -> None:
        super().__init__(iu_bytes_max, 256, may_request=may_request)
        self.ram = bytearray(RAM_BYTES) if ram is None else ram
        """The initiator's memory, from address 0."""
        self.sent: list[bytes] = []
        """What the initiator has not looked at."""
        self.unsent: list[Slot] = []
        """Of what is not on its way for good."""
        self.awaiting: list[Callable[[], None]] = []
        """Who waits until all of it is."""
        self.moves: Moved = True
        """How RDMA begins: done at once, failed at once, or neither."""
        self.moving: list[Moving] = []
        self.moves_begun = 0
        self.accepts_at_once = True
        """Whether what is sent is on its way for good."""
        self.channel: Channel | None = None
        self.ends_at_once = True
        """Whether a disconnected channel is lost at once."""
        self.disconnected = False
        self.hostile = False
        """Whether RDMA to where there is no memory fails, as it does for a hostile initiator; otherwise that is a defect."""

    def send(self, iu: bytes, slot: Slot) -> None:
        assert not self.disconnected, "sent after the channel was disconnected"
        assert len(iu) <= self.answer_bytes_max
        self.sent.append(iu)
        if self.accepts_at_once:
            slot.sent()
        else:
            self.unsent.append(slot)

    def accept(self, count: int = 1 << 30) -> None:
        """So many of those that were sent are on their way."""
        for slot in self.unsent[:count]:
            slot.sent()
        del self.unsent[:count]
        if not self.unsent:
            self._tell()

    def when_delivered(self, then: Callable[[], None]) -> None:
        self.awaiting.append(then)
        if not self.unsent:
            self._tell()

    def _tell(self) -> None:
        awaiting, self.awaiting = self.awaiting, []
        for then in awaiting:
            then()

    def read(self, segments: Sequence[Segment], into: memoryview, then: Callable[[bool], None]) -> Moved:
        def copy() -> None:
            at = 0
            for address, key, length in segments:
                assert key == KEY
                part = self.ram[address : address + min(length, len(into) - at)]
                into[at : at + len(part)] = part
                at += len(part)
            assert at == len(into), "read beyond the segments"

        return self._move(segments, copy, then)

    def write(self, segments: Sequence[Segment], data: Buffer | Region, then: Callable[[bool], None]) -> Moved:
        assert not isinstance(data, Region)
        view = memoryview(data)

        def copy() -> None:
            at = 0
            for address, key, length in segments:
                assert key == KEY
                part = view[at : at + length]
                self.ram[address : address + len(part)] = part
                at += len(part)
            assert at == len(view), "written beyond the segments"

        return self._move(segments, copy, then)

    def _move(self, segments: Sequence[Segment], copy: Callable[[], None], then: Callable[[bool], None]) -> Moved:
        assert not self.disconnected, "RDMA after the channel was disconnected"
        self.moves_begun += 1
        if self.hostile and any(key != KEY or at + length > RAM_BYTES for at, key, length in segments):
            return False
        if self.moves:
            copy()
        elif self.moves is None:
            self.moving.append((copy, then))
        return self.moves

    def move(self, ok: bool = True, at: int = 0) -> None:
        """End one RDMA that goes on."""
        copy, then = self.moving.pop(at)
        if ok:
            copy()
        then(ok)

    def disconnect(self) -> None:
        self.disconnected = True
        if self.ends_at_once:
            self.lose()

    def lose(self) -> None:
        """The channel does not exist any more."""
        self.disconnected = True
        self.moving.clear()
        self.unsent.clear()
        self._tell()
        assert self.channel is not None
        self.channel.lost()


class Peer:
    """One initiator's end of a channel."""

    def __init__(
        self,
        bench: "Bench",
        number: int,
        fabric: WireFabric,
        quirks: Quirks,
        limit: int,
        transfer_bytes_max: int | None = None,
    ) -> None:
        self.bench = bench
        self.port_id = number.to_bytes(16, "big")
        self.fabric = fabric
        self.limit = limit
        self.channel = fabric.channel = Channel(
            f"channel {number}", bench.port, fabric, bench.memory, quirks, limit, transfer_bytes_max
        )
        self.credits = 0
        """How many requests it may send."""
        self.gone = False
        self.channel.when_gone(self._note_gone)

    def _note_gone(self) -> None:
        self.gone = True

    # ---- what it sends ------------------------------------------------------------------------------------------------

    def send(self, unit: bytes) -> bool:
        """Send an information unit, whatever it is; False when the target has no memory for it."""
        slot = self.channel.slot()
        if slot is None:
            return False
        slot.view[: len(unit)] = unit
        self.channel.receive(slot, len(unit))
        return True

    def log_in(self, **fields: Any) -> FromTarget:
        """Log in and tell how that was answered."""
        self.send(self.login_request(**fields).build())
        (answer,) = self.receive()
        return answer

    def login_request(self, **fields: Any) -> LoginRequest:
        request = LoginRequest(
            1, IU_BYTES_MAX, BufferFormats.DIRECT | BufferFormats.INDIRECT, self.port_id, TARGET_PORT
        )
        return request._replace(**fields)

    def command(self, tag: int, cdb: bytes, out: bytes = b"", room: int = 0, at: int = 0, **fields: Any) -> None:
        """Send a command; data-out is put at address ``at`` first, and data-in is wanted behind it."""
        self.fabric.ram[at : at + len(out)] = out
        data_out = BufferDescriptor.direct(Segment(at, KEY, len(out))) if out else None
        data_in = BufferDescriptor.direct(Segment(at + len(out), KEY, room)) if room else None
        self.request(Command(tag, 0, 0, cdb.ljust(16, b"\0"), 0, data_out, data_in)._replace(**fields).build())

    def function(self, tag: int, function: int, task_tag: int = 0, lun: int = 0, solicited: int = 0) -> None:
        """Send a task management request."""
        self.request(TaskManagement(tag, lun, function, task_tag, solicited).build())

    def request(self, unit: bytes) -> None:
        """Send what takes a credit."""
        self.credits -= 1
        assert self.send(unit)

    # ---- what it gets -------------------------------------------------------------------------------------------------

    def receive(self) -> list[FromTarget]:
        """What has come, as it is."""
        units = [parse_from_target(unit) for unit in self.fabric.sent]
        self.fabric.sent.clear()
        for unit in units:
            if isinstance(unit, (Response, LoginResponse, CreditRequest)):
                self.credits += unit.delta
        return units

    def answer(self) -> Response:
        """The only thing that has come: an answer."""
        (unit,) = self.receive()
        assert isinstance(unit, Response)
        return unit

    def answers(self) -> list[Response]:
        """What has come, which are answers to requests."""
        units = self.receive()
        for unit in units:
            assert isinstance(unit, Response)
        return units  # type: ignore[return-value]


class Bench:
    """A target with channels."""

    def __init__(self, memory: Memory, channels_max: int) -> None:
        self.host = TestHost(None, "srp", "disk")  # type: ignore[arg-type]
        self.memory = memory
        self.port = SrpPort(self, channels_max)
        self.peers: list[Peer] = []

    def open(self, initiator_port_id: bytes, target_port_id: bytes) -> Nexus:
        """Who asks for the target port gets in."""
        if target_port_id != TARGET_PORT:
            raise Rejected(RejectReason.UNABLE_TO_ASSOCIATE, "no such target port")
        return self.host.open_nexus(self.host.target, initiator_port(initiator_port_id), target_port(target_port_id, 1))

    def peer(
        self,
        number: int = 1,
        *,
        may_request: bool = False,
        limit: int = 8,
        quirks: Quirks | None = None,
        ram: bytearray | None = None,
        transfer_bytes_max: int | None = None,
    ) -> Peer:
        """One more channel.

        :param ram: the initiator's memory, if it had one before.
        """
        fabric = WireFabric(may_request, ram=ram)
        peer = Peer(self, number, fabric, quirks or Quirks(), limit, transfer_bytes_max)
        self.peers.append(peer)
        return peer

    def session(self, number: int = 1, **more: Any) -> Peer:
        """One more channel, which is logged in."""
        peer = self.peer(number, **more)
        answer = peer.log_in()
        assert isinstance(answer, LoginResponse)
        assert answer.delta == peer.limit == peer.credits
        return peer

    def device(self, lun: int = 0) -> SmallDevice:
        return self.host.device(lun)

    def assert_at_rest(self) -> None:
        """Nothing is under way: every slot is free, all memory is given back, all credits are with the initiators."""
        assert self.memory.data_bytes == 0
        for peer in self.peers:
            channel = peer.channel
            assert channel.slots.used == 0 or channel.state is State.GONE
            if channel.is_logged_in:
                assert channel.credits.left + channel.credits.withheld == channel.credits.limit
                assert channel.credits.left == peer.credits
        alive = [peer.channel for peer in self.peers if peer.channel.state is not State.GONE]
        assert set(alive) == self.port.channels
        slots, promised = sum(one.slots.count for one in alive), sum(one.share.promised_bytes for one in alive)
        assert self.memory.held_bytes == slots * IU_BYTES_MAX + promised
        for lu in self.host.lus:
            assert lu.accepted == lu.ended

    def end(self) -> None:
        """End everything; nothing is left."""
        for lun in range(2):
            self.device(lun).release()
        over: list[bool] = []
        for peer in self.peers:
            peer.fabric.ends_at_once = True
        self.port.close("the test is over", lambda: over.append(True))
        for peer in self.peers:
            if peer.fabric.disconnected:
                peer.fabric.lose()
        assert over == [True]
        assert all(peer.gone for peer in self.peers)
        assert (self.memory.held_bytes, self.memory.data_bytes) == (0, 0)
        assert self.port.sessions() == []
        self.host.check_quiet()


@pytest.fixture
def make_bench() -> "Callable[..., Bench]":
    """Makes a target with a memory budget, and room for several channels in each session if that is wanted."""

    def make(budget_bytes: int = 1 << 24, channels_max: int = 1, memory: Memory | None = None) -> Bench:
        return Bench(memory or Memory(budget_bytes), channels_max)

    return make


@pytest.fixture
def make_peer() -> "Callable[..., Peer]":
    """Makes a channel of whatever has a memory and a port."""

    def make(bench: "Bench", number: int) -> Peer:
        return Peer(bench, number, WireFabric(may_request=False), Quirks(), 8)

    return make


@pytest.fixture
def make_fabric() -> type[WireFabric]:
    """Makes a fabric without a channel."""
    return WireFabric


@pytest.fixture
def bench(make_bench: "Callable[..., Bench]") -> Bench:
    """A target with plenty of memory."""
    return make_bench()
