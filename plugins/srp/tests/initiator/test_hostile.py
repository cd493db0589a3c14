"""A dishonest initiator: at the worst its own channel ends, and its neighbour does not notice."""

import logging
import random
from typing import Any

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.initiator.channel import InitiatorChannel
from tgtcore_srp.initiator.violation import Violation
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import Opcode, TaskManagementFunction
from tgtcore_srp.iu.others import CreditResponse
from tgtcore_srp.iu.response import Response

from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, content, read, write

KEY = 0x5A5A
LUNS = (0, 1 << 48, 9 << 48, (1 << 64) - 1)
ODD_BYTES = (0x00, 0x01, 0x10, 0x20, 0x7F, 0x80, 0xFF)
PIECES = (Segment(0, KEY, 100), Segment(4096, KEY, 412))
BUFFERS = (
    None,
    BufferDescriptor.direct(Segment(0, KEY, 512)),
    BufferDescriptor.indirect(Segment(0, KEY, 32), PIECES),
    BufferDescriptor.indirect(Segment(0, KEY, 32), PIECES, listed=1),
    BufferDescriptor.immediate(4, 100),
)
CDBS = (READY, HELD, read(512), read(70_000), write(512), write(70_000), bytes.fromhex("7f 00 00 00 00 00 00 18"))


def guard(fabric: Any) -> None:
    """Let RDMA fail that names other memory than there is, as adapters do."""

    def guarded(move: Any) -> Any:
        def checked(segments: Any, data: Any, then: Any) -> Any:
            known = all(key == KEY and address + length <= len(fabric.ram) for address, key, length in segments)
            return move(segments, data, then) if known else False

        return checked

    fabric.read, fabric.write = guarded(fabric.read), guarded(fabric.write)


class Neighbours:
    """A target with an honest initiator and one that is not."""

    def __init__(self, make_bench: Any, seed: int) -> None:
        self.chance = random.Random(seed)
        self.bench = make_bench()
        self.number = self.ended = 0
        self.violations: list[Violation] = []
        self.peer, self.honest = self.log_in()
        self.hostile_peer, self.hostile = self.log_in(violated=self.violations.append)

    def log_in(self, **how: Any) -> tuple[Any, InitiatorChannel]:
        """One more channel."""
        self.number += 1
        peer = self.bench.peer(self.number, may_request=self.chance.random() < 0.5)
        guard(peer.fabric)
        initiator = InitiatorChannel(peer.send, **how)
        initiator.login(peer.login_request(), lambda answer: None)
        self.deliver(peer, initiator)
        return peer, initiator

    def deliver(self, peer: Any, initiator: InitiatorChannel) -> None:
        """What the target has sent arrives."""
        sent, peer.fabric.sent = peer.fabric.sent, []
        for unit in sent:
            initiator.receive(unit)

    # ---- what it sends --------------------------------------------------------------------------------------------------

    def command(self) -> bytes:
        pick = self.chance.choice
        cdb = pick(CDBS).ljust(pick((16, 16, 16, 20, 32)), b"\0")
        return Command(
            self.chance.randrange(8), pick(LUNS), pick((0, 1, 2, 4)), cdb, 6, pick(BUFFERS), pick(BUFFERS[:-1])
        ).build(b"data")

    def function(self) -> bytes:
        function = self.chance.choice((0, 3, *TaskManagementFunction))
        return TaskManagement(
            self.chance.randrange(8), self.chance.choice(LUNS), function, self.chance.randrange(8)
        ).build()

    def other(self) -> bytes:
        kind = self.chance.choice((*Opcode, 0x55))
        return self.chance.choice(
            (CreditResponse(1).build(), bytes([kind]) + self.chance.randbytes(self.chance.randrange(100)))
        )

    def spoilt(self, unit: bytes) -> bytes:
        """Some bytes are other ones, or missing."""
        made = bytearray(unit)
        for _ in range(self.chance.randrange(4)):
            made[self.chance.randrange(len(made))] = self.chance.choice((*ODD_BYTES, self.chance.randrange(256)))
        return bytes(made[: self.chance.choice((len(made), len(made), self.chance.randrange(len(made) + 1)))])

    def do_harm(self) -> None:
        """Send something, and begin anew when that was the end of the channel."""
        self.hostile_peer.fabric.moves = self.chance.random() < 0.9
        make = self.chance.choice((self.command,) * 6 + (self.function,) * 2 + (self.other,))
        self.hostile.inject(self.spoilt(make()))
        if self.chance.random() < 0.1:
            self.release()
        self.deliver(self.hostile_peer, self.hostile)
        if not self.hostile_peer.channel.is_logged_in:
            self.ended += 1
            self.release()
            assert self.hostile_peer.gone
            self.bench.peers.remove(self.hostile_peer)
            self.hostile_peer, self.hostile = self.log_in(violated=self.violations.append)

    # ---- what its neighbour notices -----------------------------------------------------------------------------------

    def check_neighbour(self) -> None:
        """A read of the honest one gives its data, when it has been told of resets by the other one."""
        self.release()
        answer = self.read()
        if answer.status == Status.CHECK_CONDITION:
            assert answer.sense[2] == SenseKey.UNIT_ATTENTION
            answer = self.read()
        assert answer[1:] == Response(0, 1)[1:]
        assert self.peer.fabric.ram[:512] == content(512)

    def read(self) -> Response:
        """Read as the honest one."""
        answers: list[Any] = []
        self.peer.fabric.ram[:512] = bytes(512)
        self.honest.command(0, read(512).ljust(16, b"\0"), answers.append, data_in=BUFFERS[1])
        self.deliver(self.peer, self.honest)
        (answer,) = answers
        assert isinstance(answer, Response)
        return answer

    def release(self) -> None:
        """End what is held."""
        self.bench.device(0).release()
        self.bench.device(1).release()

    def run(self, units: int) -> None:
        """So many units, and all comes back."""
        for _ in range(units):
            self.do_harm()
            if self.chance.random() < 0.1:
                self.check_neighbour()
        self.check_neighbour()
        self.hostile.lost()
        self.hostile_peer.fabric.disconnect()
        self.release()
        self.bench.peers.remove(self.hostile_peer)
        self.peer.credits = self.honest.credits
        self.bench.assert_at_rest()
        self.bench.end()


def check(make_bench: Any, seed: int, units: int, caplog: pytest.LogCaptureFixture) -> None:
    """The target has understood all that it was sent."""
    with caplog.at_level(logging.ERROR):
        neighbours = Neighbours(make_bench, seed)
        neighbours.run(units)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert neighbours.ended > units // 100


@pytest.mark.parametrize("seed", range(4))
def test_some_units(make_bench: Any, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    check(make_bench, seed, 200, caplog)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_many_units(make_bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    for seed in range(100, 125):
        check(make_bench, seed, 2000, caplog)
