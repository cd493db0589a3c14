"""Hostile information units: only the channel that they come through ends, and a healthy one beside it notices nothing.

``TGTCORE_HOSTILE_EVENTS`` says how many the long test sends.
"""

import os
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.others import CreditResponse, EventResponse, InitiatorLogout
from tgtcore_srp.iu.response import Response
from tgtcore_srp.iu.table import parse_from_target
from tgtcore_srp.quirks import Quirks

from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, content, read, write
from tgtcore.testing.initiator import forget_attentions

if TYPE_CHECKING:
    from conftest import Bench, Peer

KEY = 0x5A5A
LIMIT = 16
UNITS = 2_000
UNITS_FOR_LONG = int(os.environ.get("TGTCORE_HOSTILE_EVENTS", "200000"))
HEALTHY_EVERY = 50
"""So many hostile units for each command of the healthy channel."""


def _direct(chance: random.Random) -> BufferDescriptor:
    return BufferDescriptor.direct(Segment(chance.randrange(1 << 14), KEY, chance.choice([0, 1, 64, 4096])))


def _indirect(chance: random.Random) -> BufferDescriptor:
    near = chance.randrange(1 << 14)
    pieces = (Segment(near, KEY, 32), Segment(near + 64, KEY, 32))
    table = Segment(chance.choice([0, 64, 1 << 14, 1 << 63]), KEY, 32)
    return BufferDescriptor.indirect(table, pieces, chance.randrange(3))


def _command(chance: random.Random, cdb: bytes, *buffers: BufferDescriptor | None) -> bytes:
    lun = chance.randrange(3) << 48
    command = Command(chance.randrange(8), lun, chance.choice([0, 0, 1, 2]), cdb.ljust(16, b"\0"), 6, *buffers)
    return command.build(bytes(64))


def _function(chance: random.Random) -> bytes:
    function = chance.choice([1, 2, 4, 8, 0x40])
    return TaskManagement(chance.randrange(8), chance.randrange(3) << 48, function, chance.randrange(8)).build()


_KINDS: list[Callable[[random.Random], bytes]] = [
    lambda chance: _command(chance, READY),
    lambda chance: _command(chance, HELD),
    lambda chance: _command(chance, write(64), _direct(chance)),
    lambda chance: _command(chance, read(64), None, _direct(chance)),
    lambda chance: _command(chance, read(64).ljust(20, b"\0"), None, _direct(chance)),
    lambda chance: _command(chance, read(64), None, _indirect(chance)),
    lambda chance: _command(chance, write(64), _indirect(chance), _direct(chance)),
    lambda chance: _command(chance, write(64), BufferDescriptor.immediate(64, 80)),
    _function,
    _function,
    lambda chance: InitiatorLogout(1).build() if chance.random() < 0.1 else CreditResponse(chance.randrange(8)).build(),
    lambda chance: EventResponse(1).build(),
]
"""Good ones, to be spoilt: all kinds that an initiator sends, with all kinds of buffers."""


def _spoilt(chance: random.Random, unit: bytes) -> bytes:
    made = bytearray(unit)
    for _ in range(chance.choice([0, 0, 1, 1, 2, 5])):
        made[chance.randrange(len(made))] = chance.choice(
            [0, 1, 2, 4, 0x10, 0x22, 0x7F, 0x80, 0xFF, chance.randrange(256)]
        )
    how = chance.random()
    if how < 0.05:
        return bytes(made[: chance.randrange(len(made) + 1)])
    if how < 0.06:
        return chance.randbytes(chance.randrange(1, 512))
    return bytes(made)


class Hostile:
    """Initiators that send anything, each through a new channel when the target has ended the one before."""

    def __init__(self, bench: "Bench", seed: int) -> None:
        self.bench = bench
        self.chance = random.Random(seed)
        self.peer: Peer | None = None
        self.channels = 0
        self.answers = 0

    def send(self) -> None:
        chance = self.chance
        if self.peer is None or self.peer.fabric.disconnected:
            self._begin_anew()
        peer = self.peer
        assert peer is not None
        fabric = peer.fabric
        if chance.random() < 0.1:
            fabric.moves = chance.choice([True, True, False, None])
        if chance.random() < 0.02:
            fabric.accepts_at_once = not fabric.accepts_at_once
        fabric.accept(chance.randrange(3))
        login = peer.login_request(flags=chance.choice([0x80, 0x80, 1, 0]), immediate_offset=80)
        unit = _spoilt(chance, login.build() if chance.random() < 0.08 else chance.choice(_KINDS)(chance))
        slot = peer.channel.slot()
        if slot is not None:
            slot.view[: len(unit)] = unit
            peer.channel.receive(slot, len(unit))
        while fabric.moving and chance.random() < 0.7:
            fabric.move(chance.random() < 0.9, chance.randrange(len(fabric.moving)))
        if chance.random() < 0.2:
            self.bench.device(chance.randrange(2)).release()
        for answer in fabric.sent:
            parse_from_target(answer)
            self.answers += 1
        fabric.sent.clear()

    def _begin_anew(self) -> None:
        """The old channel is over, once the last of its commands is."""
        if self.peer is not None:
            for lun in range(2):
                self.bench.device(lun).release()
            self.peer.fabric.lose()
            assert self.peer.gone
            self.bench.peers.remove(self.peer)
        self.channels += 1
        number = 2 + self.chance.randrange(2)
        may_request = self.chance.random() < 0.5
        ram = None if self.peer is None else self.peer.fabric.ram
        self.peer = self.bench.peer(number, may_request=may_request, limit=LIMIT, quirks=_QUIRKS, ram=ram)
        self.peer.fabric.hostile = True
        if self.chance.random() < 0.95:
            self.peer.send(self.peer.login_request(flags=0x80, immediate_offset=80).build())


_QUIRKS = Quirks(immediate_data=True)


def _healthy(bench: "Bench", peer: "Peer", tags: Iterator[int]) -> None:
    """Reads as if it were alone, once it has heard of resets: others may reset logical units."""
    tag = next(tags)
    assert peer.channel.session is not None
    forget_attentions(peer.channel.session.nexus)
    peer.command(tag, read(512), room=512, lun=1 << 48)
    answer = peer.answer()
    assert isinstance(answer, Response)
    assert (answer.tag, answer.status, answer.flags) == (tag, Status.GOOD, 0)
    assert answer.delta >= 1
    assert peer.fabric.ram[:512] == content(512)


def _run(bench: "Bench", units: int, seed: int) -> Hostile:
    healthy = bench.session(1)
    hostile = Hostile(bench, seed)
    tags = iter(range(1 << 62))
    for count in range(units):
        hostile.send()
        if count % HEALTHY_EVERY == 0:
            bench.device(1).release()
            _healthy(bench, healthy, tags)
    assert healthy.channel.is_logged_in
    assert healthy.channel.complaints == 0
    bench.end()
    return hostile


@pytest.mark.parametrize("seed", range(2))
def test_only_the_offending_channel_ends(make_bench: "Callable[..., Bench]", seed: int) -> None:
    hostile = _run(make_bench(1 << 26, channels_max=2), UNITS, seed)
    assert hostile.channels > 25
    assert hostile.answers > UNITS // 10


@pytest.mark.slow
@pytest.mark.timeout(300 + UNITS_FOR_LONG / 1000)
@pytest.mark.parametrize("seed", range(4))
def test_for_long_only_the_offending_channel_ends(make_bench: "Callable[..., Bench]", seed: int) -> None:
    """A quarter of them for each seed."""
    units = UNITS_FOR_LONG // 4
    hostile = _run(make_bench(1 << 26, channels_max=2), units, 4711 + seed)
    assert hostile.channels > units // 100
