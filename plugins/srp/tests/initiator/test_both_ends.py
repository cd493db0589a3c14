"""Both ends of a channel at work: whatever is sent, moved, aborted and in whatever order, the initiator finds no rule broken."""

import random
from typing import Any

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.initiator.buffers import describe
from tgtcore_srp.initiator.channel import InitiatorChannel
from tgtcore_srp.initiator.rules import Rules
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.opcodes import ResponseFlag, TaskManagementFunction
from tgtcore_srp.iu.response import Response

from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, REFUSED, content, read, write

LIMIT = 8
KEY = 0x5A5A
AREA_BYTES = 8192
DATA_BYTES_MAX = 6000
TABLE_AT = 7168
PIECES_MAX = 40


class Both:
    """A target with one channel, and its initiator."""

    def __init__(self, make_bench: Any, seed: int) -> None:
        self.chance = random.Random(seed)
        self.bench = make_bench()
        self.peer = self.bench.peer(1, may_request=True, limit=LIMIT)
        self.ram = self.peer.fabric.ram
        self.areas = list(range(0, len(self.ram), AREA_BYTES))
        self.in_flight: dict[int, int] = {}
        """LUN fields of commands, by tag."""
        self.ends = {"good": 0, "bad": 0, "silent": 0}
        self.initiator = InitiatorChannel(self.peer.send, Rules(requests_max=LIMIT))
        self.initiator.login(self.peer.login_request(), lambda answer: None)
        self.deliver()

    def deliver(self) -> None:
        """What the target has sent arrives, and so it is on its way."""
        self.peer.fabric.accept()
        sent, self.peer.fabric.sent = self.peer.fabric.sent, []
        for unit in sent:
            self.initiator.receive(unit)

    def buffer(self, area: int, length: int) -> BufferDescriptor:
        """One in some pieces, which are not in order."""
        cuts = sorted(self.chance.sample(range(1, length), min(length - 1, self.chance.randrange(PIECES_MAX))))
        ends = [*cuts, length]
        pieces = tuple(Segment(area + at, KEY, end - at) for at, end in zip([0, *cuts], ends, strict=True))
        table = Segment(area + TABLE_AT, KEY, 16 * len(pieces))
        self.ram[table.address : table.address + table.length] = build_table(pieces)
        return describe(pieces, table, self.chance.choice((20, 52, 500)))

    # ---- steps ----------------------------------------------------------------------------------------------------------

    def command(self) -> None:
        if self.initiator.room:
            self.chance.choice((self.plain, self.read, self.write))()

    def plain(self) -> None:
        self.send(self.chance.choice((READY, REFUSED, HELD)))

    def read(self) -> None:
        length, room = (self.chance.randint(1, DATA_BYTES_MAX) for _ in range(2))
        area = self.areas.pop()
        self.ram[area : area + TABLE_AT] = bytes(TABLE_AT)

        def check(response: Response) -> None:
            assert self.ram[area : area + min(length, room)] == content(length)[:room]
            assert not any(self.ram[area + min(length, room) : area + TABLE_AT])
            residual = ResponseFlag.DIUNDER if length < room else ResponseFlag.DIOVER if length > room else 0
            assert (response.flags, response.in_residual) == (residual, abs(length - room))

        self.send(read(length), check, area, data_in=self.buffer(area, room))

    def write(self) -> None:
        length = self.chance.randint(1, DATA_BYTES_MAX)
        area = self.areas.pop()
        self.ram[area : area + length] = content(length)
        self.send(write(length), None, area, data_out=self.buffer(area, length))

    def send(self, cdb: bytes, check: Any = None, area: int | None = None, **buffers: Any) -> None:
        def done(response: Response | None) -> None:
            if area is not None:
                self.areas.insert(0, area)
            del self.in_flight[tag]
            good = response is not None and response.status == Status.GOOD and response.code is None
            self.ends["silent" if response is None else "good" if good else "bad"] += 1
            if good and check:
                check(response)

        lun = self.lun()
        tag = self.initiator.command(lun, cdb.ljust(16, b"\0"), done, **buffers)
        self.in_flight[tag] = lun

    def lun(self) -> int:
        return self.chance.choice((0, 0, 0, 1 << 48, 9 << 48))

    def manage(self) -> None:
        if not self.initiator.credits or self.chance.randrange(3):
            return
        if self.chance.randrange(2):
            tag, lun = self.chance.choice([(77, 0), *self.in_flight.items()])
            self.initiator.manage(TaskManagementFunction.ABORT_TASK, lun, lambda response: None, task_tag=tag)
        else:
            function = self.chance.choice(list(TaskManagementFunction))
            self.initiator.manage(function, self.lun(), lambda response: None, task_tag=self.chance.randrange(99))

    def move(self) -> None:
        if self.peer.fabric.moving:
            at = self.chance.randrange(len(self.peer.fabric.moving))
            self.peer.fabric.move(self.chance.random() < 0.9, at)

    def accept(self) -> None:
        self.peer.fabric.accept(self.chance.randrange(4))

    def turn(self) -> None:
        """The fabric changes its ways."""
        self.peer.fabric.moves = self.chance.choice((True, True, None, None, False))
        self.peer.fabric.accepts_at_once = self.chance.random() < 0.5

    def release(self) -> None:
        self.bench.device(self.chance.randrange(2)).release()

    def run(self, steps: int) -> None:
        """Do this and that."""
        ways = (self.command,) * 6 + (self.manage, self.move, self.accept, self.turn, self.release, self.deliver)
        for _ in range(steps):
            self.chance.choice(ways)()

    def settle(self) -> None:
        """All that was begun ends, and nothing is left."""
        fabric = self.peer.fabric
        fabric.moves = fabric.accepts_at_once = True
        for _ in range(LIMIT + 2):
            while fabric.moving:
                fabric.move()
            self.bench.device(0).release()
            self.bench.device(1).release()
            fabric.accept()
            self.deliver()
        assert self.initiator.unanswered == 0
        assert self.initiator.promised == LIMIT
        self.peer.credits = self.initiator.credits
        self.bench.assert_at_rest()
        self.bench.end()


@pytest.mark.parametrize("seed", range(8))
def test_a_short_time(make_bench: Any, seed: int) -> None:
    both = Both(make_bench, seed)
    both.run(400)
    both.settle()
    assert both.ends["good"] > 10


@pytest.mark.slow
def test_a_long_time(make_bench: Any) -> None:
    silent = 0
    for seed in range(100, 200):
        both = Both(make_bench, seed)
        both.run(1000)
        both.settle()
        silent += both.ends["silent"]
    assert silent > 100
