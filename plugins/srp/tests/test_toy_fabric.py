"""A third fabric that nobody has thought of: two pipes, and the initiator's memory at hand.  Sixty lines are enough for one."""

import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.channel import Channel
from tgtcore_srp.fabric import Fabric, Moved, Segment
from tgtcore_srp.initiator.channel import InitiatorChannel
from tgtcore_srp.initiator.states import State
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.login import LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.opcodes import ResponseCode, TaskManagementFunction
from tgtcore_srp.iu.response import Response
from tgtcore_srp.quirks import Quirks
from tgtcore_srp.slots import Slot

from tgtcore import Buffer, Region
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, content, read, write

if TYPE_CHECKING:
    from conftest import Bench


class PipeFabric(Fabric):
    """The target's end: a pipe for each direction, with a length of two bytes before each information unit."""

    channel: Channel

    def __init__(self, ram: bytearray) -> None:
        super().__init__(iu_bytes_max=512, answer_bytes_max=256, may_request=True)
        self.ram = memoryview(ram)
        self._inbound, self.to_target = os.pipe()
        self.from_target, self._outbound = os.pipe()

    def send(self, iu: bytes, slot: Slot) -> None:
        os.write(self._outbound, len(iu).to_bytes(2, "big") + iu)
        slot.sent()

    def serve(self) -> None:
        """Take one information unit; the end of the pipe is the end of the channel."""
        if not (head := os.read(self._inbound, 2)):
            self.disconnect()
        elif (slot := self.channel.slot()) is not None:
            self.channel.receive(slot, os.readv(self._inbound, [slot.view[: int.from_bytes(head, "big")]]))

    def read(self, segments: Sequence[Segment], into: memoryview, then: Callable[[bool], None]) -> Moved:
        for address, _, length in segments:
            part = self.ram[address : address + min(length, len(into))]
            into[: len(part)], into = part, into[len(part) :]
        return not into

    def write(self, segments: Sequence[Segment], data: Buffer | Region, then: Callable[[bool], None]) -> Moved:
        assert not isinstance(data, Region)
        left = memoryview(data)
        for address, _, length in segments:
            part = self.ram[address : address + min(length, len(left))]
            part[:], left = left[: len(part)], left[len(part) :]
        return not left

    def disconnect(self) -> None:
        os.close(self._inbound)
        os.close(self._outbound)
        self.channel.lost()


class Client:
    """The initiator's end."""

    def __init__(self, bench: "Bench", number: int = 1) -> None:
        self.ram = bytearray(1 << 17)
        self.fabric = PipeFabric(self.ram)
        self.channel = self.fabric.channel = Channel("pipe", bench.port, self.fabric, bench.memory, Quirks(), 16)
        self.end = InitiatorChannel(self._send)
        self.answers: list[Response | LoginResponse | LoginReject | None] = []
        self.end.login(LoginRequest(1, 512, 6, number.to_bytes(16, "big"), bytes(range(16))), self.answers.append)
        self.turn()

    def _send(self, unit: bytes) -> None:
        os.write(self.fabric.to_target, len(unit).to_bytes(2, "big") + unit)
        self.fabric.serve()

    def turn(self) -> None:
        """Look at everything that the target has sent."""
        os.set_blocking(self.fabric.from_target, False)
        try:
            while head := os.read(self.fabric.from_target, 2):
                self.end.receive(os.read(self.fabric.from_target, int.from_bytes(head, "big")))
        except BlockingIOError:
            return
        self.end.lost()

    def command(
        self, cdb: bytes, out: BufferDescriptor | None = None, in_: BufferDescriptor | None = None
    ) -> Response | LoginResponse | LoginReject | None:
        """Run a command to its end."""
        self.end.command(0, cdb.ljust(16, b"\0"), self.answers.append, out, in_)
        self.turn()
        return self.answers[-1]

    def close(self) -> None:
        os.close(self.fabric.to_target)
        os.close(self.fabric.from_target)


@pytest.fixture
def client(bench: "Bench") -> Iterator[Client]:
    client = Client(bench)
    (answer,) = client.answers
    assert isinstance(answer, LoginResponse)
    assert answer.delta == 16
    yield client
    bench.end()
    client.close()


def test_it_is_short() -> None:
    lines = inspect.getsource(PipeFabric).splitlines()
    assert len(lines) <= 60


@pytest.mark.parametrize("length", [1, 512, 65_000])
def test_data_in_both_directions(bench: "Bench", client: Client, length: int) -> None:
    client.ram[:length] = content(length)
    answer = client.command(write(length), BufferDescriptor.direct(Segment(0, 1, length)))
    assert isinstance(answer, Response)
    assert answer.status == Status.GOOD
    assert bench.device().written == content(length)
    half = length // 2
    segments = (Segment(0x10000, 1, half), Segment(0x10000 + half, 1, length - half))
    client.ram[0x1FF00 : 0x1FF00 + 32] = build_table(segments)
    room = BufferDescriptor.indirect(Segment(0x1FF00, 1, 32), segments, 0)
    answer = client.command(read(length), None, room)
    assert isinstance(answer, Response)
    assert (answer.status, answer.flags) == (Status.GOOD, 0)
    assert client.ram[0x10000 : 0x10000 + length] == content(length)


def test_task_management(bench: "Bench", client: Client) -> None:
    tag = client.end.command(0, HELD.ljust(16, b"\0"), client.answers.append)
    client.end.manage(TaskManagementFunction.ABORT_TASK, 0, client.answers.append, task_tag=tag)
    client.turn()
    bench.device().release()
    client.turn()
    _, aborted, function = client.answers
    assert aborted is None
    assert isinstance(function, Response)
    assert (function.code, function.delta) == (ResponseCode.COMPLETE, 2)


def test_a_drain(bench: "Bench", client: Client) -> None:
    """What was answered is heard, and so is the end."""
    over: list[bool] = []
    assert isinstance(client.command(READY), Response)
    client.end.command(0, HELD.ljust(16, b"\0"), client.answers.append)
    bench.port.drop(bench.port.sessions(), "as the test wants", lambda: over.append(True))
    client.turn()
    assert (client.end.state, client.answers[-1], over) == (State.ENDED, None, [])
    bench.device().release()
    assert over == [True]


def test_a_logout(bench: "Bench", client: Client) -> None:
    client.end.logout()
    assert bench.port.sessions() == []


def test_a_pipe_that_breaks(bench: "Bench", client: Client) -> None:
    client.end.command(0, HELD.ljust(16, b"\0"), client.answers.append)
    os.close(client.fabric.to_target)
    client.fabric.serve()
    client.fabric.to_target = os.dup(client.fabric.from_target)
    bench.device().release()
    assert bench.port.sessions() == []
