"""Hostile client partitions at the sockets and in the memory of the machine, beside a neighbour with verified I/O.

``TGTCORE_HOSTILE_EVENTS`` says how many things they do in the long run.
"""

import asyncio
import os
import random
import struct
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tgtcore_ibmvio.crq.elements import FIELDS, INIT, INIT_COMPLETE, PING
from tgtcore_ibmvio.platform.emulated.client import Access, Call
from tgtcore_srp.iu.login import LoginRequest
from tgtcore_srp.iu.management import TaskManagement

from tgtcore.testing.host import HELD, READY, REFUSED, read, write

EVENTS = int(os.environ.get("TGTCORE_HOSTILE_EVENTS", "60000"))
EVENTS_OF_ONE = 2500
GAP_S = 2.0
"""No answer to the neighbour takes longer, on a machine that many share."""

PAGE, PAGES, START = 4096, 64, 0x10_0000_0000
IUS, TABLE, DATA = PAGE, 8 * PAGE, 16 * PAGE
WILD = (0, START - 1, START + PAGES * PAGE - 8, START + 2 * PAGES * PAGE - 128, (1 << 64) - 1, (1 << 63) + 1)
LENGTHS = (0, 1, 16, 255, 512, 4096, 65536, 1 << 18, 0x7FFFFFFF, 0xFFFFFFFF)
CREDITS = 16
LUN_0 = 0x8000 << 48
LENGTH_AT = 32 + 6
"""The first byte of the length in the CDB of a READ, of which the device of the tests makes all that is asked for, slowly."""
LOGIN = LoginRequest(1, 256, 6, bytes(16), bytes(16)).build()
GOLDEN = Path(__file__).parents[1] / "golden" / "client_ius.txt"
RECORDED = [
    (bytes.fromhex(iu).ljust(256, b"\0"), bytes.fromhex(element)[1])
    for _, element, iu in (line.split() for line in GOLDEN.read_text().splitlines() if line.startswith("request "))
]
"""Information units with the format that they came in."""


class Partition:
    """Says and does what its dice want."""

    def __init__(self, siege, dice):
        self.siege = siege
        self.dice = dice
        self.events = 0
        self.tag = 0
        self.rude = dice.choice((0.02, 0.2, 1))
        """How much it does of what ends its session; one that does little of it gets further."""
        self.deaf = 0
        """For how many turns it takes nothing out of its queue."""
        self.unanswered = 0
        self.partition = None

    async def run(self, events):
        """Do so many things, and vanish."""
        await self.attach()
        with scribbler(self):
            while self.events < events:
                await self._turn()
        self.die()

    async def attach(self):
        """Be there, with a queue, as drivers begin."""
        self.partition = await self.siege.attach()
        self.partition.map(START, 0, PAGES * PAGE)
        await self._call(Call.H_REG_CRQ, START, PAGE)
        self._greet_and_log_in()

    async def _turn(self):
        if self.siege.server.session is None and self.dice.random() < 0.5:
            self._greet_and_log_in()
        for _ in range(self.dice.randrange(1, 30)):
            deeds = RUDE if self.dice.random() < 0.05 * self.rude else USUAL
            if deeds is RUDE or self.unanswered < CREDITS - 2 or self.dice.random() < 0.01 * self.rude:
                self.dice.choice(deeds)(self)
            else:
                self.dice.choice((self.release, self._hear))()
            self.events += 1
        if self.dice.random() < 0.2 * self.rude:
            await self.dice.choice(CALLS)(self)
            self.events += 1
        self.siege.look()
        self.deaf = max(0, self.deaf - 1)
        if not self.deaf:
            self._hear()
        await asyncio.sleep(0)
        if self.partition is None or self.siege.server.adapter.partner is None:
            self.die()
            await self.attach()

    def _hear(self):
        with suppress(ConnectionError):
            while self.partition is not None and (taken := self.partition.take()):
                self.unanswered -= sum(element[0] == 0x80 for element in taken)

    def die(self):
        """Vanish, whatever is under way."""
        if self.partition is not None:
            self.partition.close()
            self.partition = None

    # ---- what goes into the server's queue ---------------------------------------------------------------------------

    def _element(self, element):
        if self.partition is not None:
            self.partition.send(element)

    def _send(self, iu, format_=1, length=256):
        self.unanswered += 1
        place = IUS + self.dice.randrange(PAGE * 4 // 256) * 256
        if self.partition is not None:
            self.partition.memory[place : place + 256] = iu[:256].ljust(256, b"\0")
        address = self._wild() if self.dice.random() < 0.01 * self.rude else START + place
        self._element(FIELDS.pack(0x80, format_, 0, 30, length, address))

    def _wild(self):
        return self.dice.choice((*WILD, self.dice.getrandbits(64)))

    def _mutated(self, iu):
        changed = bytearray(iu.ljust(64, b"\0"))
        for _ in range(self.dice.choice((0, 1, 2, 8)) if self.dice.random() < self.rude else 0):
            changed[self.dice.randrange(self.dice.random() > 0.02, 64)] = self.dice.choice(
                (0, 1, 0x7F, 0x80, 0xFF, self.dice.getrandbits(8))
            )
        changed[LENGTH_AT] = 0
        return bytes(changed)

    def greet(self):
        self._element(self.dice.choice((INIT, INIT_COMPLETE, PING)))

    def _greet_and_log_in(self):
        self.unanswered = 0
        self._element(INIT)
        self._send(LOGIN)

    def log_in(self):
        for _ in range(self.dice.choice((1, 1, 1, 20))):
            self._element(INIT)
            self._send(self._mutated(LOGIN))

    def command(self):
        self.tag += self.dice.choice((0, 1, 1, 1, 1))
        length = self.dice.choice((0, 1, 512, 1001, 4096, 65536))
        cdb = self.dice.choice((READY, HELD, REFUSED, read(length), write(length), self.dice.randbytes(16)))
        formats = self.dice.choice((0, 0x01, 0x10, 0x02, 0x20, 0x11, 0x22, self.dice.getrandbits(8)))
        lun = self.dice.choice((LUN_0, LUN_0, 0x8001 << 48, 0xC101 << 48, self.dice.getrandbits(64)))
        attribute = self.dice.choice((0, 0, 0, 0, 0, 0, 1, 2, 4))
        header = struct.pack(
            ">BB3xBBBQ4xQxBxB16s", 2, 0, formats, 1, 1, self.tag, lun, attribute, 0, cdb.ljust(16, b"\0")
        )
        descriptors = self._descriptor(TABLE, 32) + struct.pack(">I", length) + self._table(length)
        if formats in (0x01, 0x10):
            descriptors = self._descriptor(DATA, length)
        self._send(self._mutated(header + descriptors))

    def _descriptor(self, offset, length):
        dice = self.dice
        address = self._wild() if dice.random() < 0.05 else START + offset + dice.choice((0, 0, 1, PAGE - 1))
        return struct.pack(">QII", address, 0, dice.choice(LENGTHS) if dice.random() < 0.05 else length)

    def _table(self, length):
        half = length // 2
        table = self._descriptor(DATA, half) + self._descriptor(DATA + 32 * PAGE, length - half)
        if self.partition is not None:
            self.partition.memory[TABLE : TABLE + 32] = table
        return table

    def flood(self):
        """More than it may send."""
        for tag in range(self.dice.choice((17, 40, 300))):
            self._send(struct.pack(">B7xQ4xQ4x16s", 2, tag, LUN_0, self.dice.choice((READY, HELD)).ljust(16, b"\0")))

    def function(self):
        """Task management, also functions that there are not."""
        function = self.dice.choice((1, 2, 4, 8, 0x10, 0x40))
        tag = self.dice.randrange(self.tag + 2)
        self._send(self._mutated(TaskManagement(1 << 40 | tag, LUN_0, function, tag).build()))

    def recorded(self):
        iu, format_ = self.dice.choice(RECORDED)
        other = self.dice.random() < 0.1 * self.rude
        self._send(self._mutated(iu), self.dice.randrange(7) if other else format_)

    def datagram(self):
        kind = self.dice.choice((1, 2, 3, 4, 5, 8, self.dice.getrandbits(32)))
        length = self.dice.choice((0, 80, 148, self.dice.getrandbits(16)))
        address = self._wild() if self.dice.random() < 0.3 else START + DATA
        self._send(struct.pack(">IHHQQ", kind, 0, length, 1, address), 2, self.dice.choice((256, 24, 16, 0)))

    def noise(self):
        self._element(self.dice.randbytes(16))

    # ---- what it does in its memory ----------------------------------------------------------------------------------

    def pages(self):
        """Other pages, no pages, or pages that are not for everything."""
        if self.partition is None:
            return
        page, count = self.dice.randrange(PAGES), self.dice.randrange(1, 8)
        count = min(count, PAGES - page)
        if self.dice.random() < 0.3:
            self.partition.unmap(START + page * PAGE, count * PAGE)
        elif self.dice.random() < 0.5:
            access = self.dice.choice((Access.READ, Access.WRITE, Access.BOTH))
            self.partition.map(START + page * PAGE, self.dice.randrange(PAGES - count) * PAGE, count * PAGE, access)
        else:
            self.partition.map(START, 0, PAGES * PAGE)

    def queues(self):
        """Bytes in its own queue, which the server fills."""
        if self.partition is not None:
            at = self.dice.randrange(PAGE - 64)
            self.partition.memory[at : at + 64] = self.dice.randbytes(64)

    def rest(self):
        self.deaf = self.dice.choice((1, 10, 60))

    def release(self):
        self.siege.release()

    # ---- what it asks of the machine ---------------------------------------------------------------------------------

    async def _call(self, call, first=0, second=0):
        with suppress(ConnectionError, ValueError):
            if self.partition is not None:
                await self.partition.call(call, first, second)

    async def other_queue(self):
        """Free the queue, or have one, there or elsewhere."""
        if self.dice.random() < 0.5:
            await self._call(Call.H_FREE_CRQ)
        if self.dice.random() < 0.8:
            await self._call(
                Call.H_REG_CRQ, *self.dice.choice(((START, PAGE), (START, PAGE), (START + PAGE, 3 * PAGE), (7, 9)))
            )
        if self.dice.random() < 0.8:
            self._greet_and_log_in()

    async def travel(self):
        """Be suspended, resumed, migrated."""
        for call in self.dice.sample((Call.PREPARE_FOR_SUSPEND, Call.RESUME, Call.MIGRATE, Call.H_ENABLE_CRQ), 3):
            await self._call(call)
            self.command()
        await self._call(Call.H_ENABLE_CRQ)
        await self._call(Call.RESUME)

    async def vanish(self):
        if self.dice.random() < 0.3:
            self.die()

    async def removed(self):
        """Its session is ended from the other side."""
        if self.dice.random() < 0.2:
            await self.siege.transport.drop_session(self.siege.server.options.address)


USUAL = (
    *(Partition.command,) * 14,
    *(Partition.recorded,) * 4,
    *(Partition.function, Partition.release),
)
RUDE = (
    Partition.greet,
    Partition.log_in,
    Partition.flood,
    Partition.datagram,
    Partition.noise,
    Partition.pages,
    Partition.queues,
    Partition.rest,
)
CALLS = (Partition.other_queue, Partition.travel, Partition.vanish, Partition.removed)


@contextmanager
def scribbler(hostile):
    """Meanwhile, requests and tables change while the server reads them."""
    over = threading.Event()
    dice = random.Random(hostile.dice.random())

    def scribble():
        while not over.wait(0.0005):
            partition = hostile.partition
            if partition is not None:
                for _ in range(20):
                    at = dice.randrange(IUS, DATA)
                    if at % 256 not in (0, LENGTH_AT):  # another opcode would only end the session
                        partition.memory[at] = dice.getrandbits(8)

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def besiege(siege, events, seed):
    """One hostile partition after another; after each everything is as it was, and an honest one is served."""
    done, seeds = 0, random.Random(seed)
    while done < events:
        hostile = Partition(siege, random.Random(seeds.random()))
        await hostile.run(min(EVENTS_OF_ONE, events - done))
        done += hostile.events
        await siege.quiet()
        await siege.serves()
        await siege.quiet()
    return done


async def check(siege, events, seed):
    done = await besiege(siege, events, seed)
    print(f"{done} events; {siege}; neighbour: {siege.neighbour}")
    assert siege.accepted > done / 50
    assert siege.neighbour.commands > done / 1000
    return done


@pytest.mark.asyncio
async def test_nobody_else_notices(siege):
    await check(siege, EVENTS_OF_ONE, 1)
    assert siege.neighbour.refused == 0


@pytest.mark.asyncio
async def test_with_the_least_memory_everybody_is_answered(poor_siege):
    await check(poor_siege, EVENTS_OF_ONE, 2)


@pytest.mark.slow
@pytest.mark.timeout(60 + EVENTS / 500)
@pytest.mark.asyncio
async def test_nobody_else_notices_for_long(siege):
    await check(siege, EVENTS, 3)
    assert siege.waited > 0
    assert siege.neighbour.refused == 0
    assert siege.neighbour.longest_s < GAP_S


@pytest.mark.slow
@pytest.mark.timeout(60 + EVENTS / 500)
@pytest.mark.asyncio
async def test_with_the_least_memory_everybody_is_answered_for_long(poor_siege):
    await check(poor_siege, EVENTS // 3, 4)
    assert poor_siege.memory.refusals > 0
