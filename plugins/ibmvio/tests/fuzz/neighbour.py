"""An honest client of an adapter, which looks at all that it gets."""

import asyncio
import os
from itertools import count

from tgtcore_ibmvio.crq.elements import FIELDS, INIT
from tgtcore_ibmvio.platform.emulated.client import AsyncClientPartition, Call, Hello, Refused
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.login import LoginRequest, LoginResponse
from tgtcore_srp.iu.opcodes import Opcode
from tgtcore_srp.iu.response import Response

from tgtcore.testing.host import content, read, write

PAGE = 4096
START = 0x10_0000_0000
PAGES = 64
HELLO = Hello(7, "client", PAGES * PAGE, START, 2 * PAGES * PAGE)
IU, TABLE, DATA = PAGE, 2 * PAGE, 16 * PAGE
LUN_0 = 0x8000 << 48
LOGIN = LoginRequest(1, 256, 6, bytes(16), bytes(16)).build()
PATIENCE_S = 10
GOOD, BUSY, TASK_SET_FULL = 0x00, 0x08, 0x28


async def attach(path):
    """Be the client partition of an adapter, as soon as nobody else is."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await AsyncClientPartition.attach(path, HELLO)
            except (Refused, ConnectionError):
                await asyncio.sleep(0)


class Neighbour:
    """One whose commands are awaited one by one, and whose data is compared with that of the device."""

    def __init__(self, partition, device):
        self.partition = partition
        self.device = device
        self.commands = 0
        self.refused = 0
        """How many commands had to be sent again, for want of memory."""
        self.longest_s = 0.0
        """The longest that it had to do without an answer."""
        self.credits = 0
        self._tags = count(2)
        self._served_s = None

    @classmethod
    async def attach(cls, path, device):
        """Attach as soon as whoever was there has gone."""
        return cls(await attach(path), device)

    def __str__(self):
        return f"{self.commands} commands, {self.refused} times none for want of memory, the longest gap was {self.longest_s:.3f} s"

    async def log_in(self):
        """Have a queue, shake hands and log in."""
        partition = self.partition
        partition.map(START, 0, PAGES * PAGE)
        assert await partition.call(Call.H_REG_CRQ, START, PAGE) in (Hcall.SUCCESS, Hcall.CLOSED)
        async with asyncio.timeout(PATIENCE_S):
            while partition.send(INIT) is not Hcall.SUCCESS:  # noqa: ASYNC110 (nothing tells when the server is there)
                await asyncio.sleep(0)
        answer = await self._ask(LOGIN, 1)
        assert answer[0] == Opcode.LOGIN_RSP
        self.credits = LoginResponse.parse(answer).delta

    async def _ask(self, iu, tag):
        self.partition.memory[IU : IU + len(iu)] = iu
        assert self.partition.send(FIELDS.pack(0x80, 1, 0, 30, 256, START + IU)) is Hcall.SUCCESS
        while True:
            elements = await self.partition.receive(PATIENCE_S)
            assert elements, "there is no answer"
            for header, format_, _, _, length, answered in map(FIELDS.unpack, elements):
                assert header != 0xFF, "the session has ended"
                if (header, format_) == (0x80, 1):
                    assert answered == tag
                    return bytes(self.partition.memory[IU : IU + length])

    def pause(self):
        """It wants nothing for a while: that is no gap."""
        self._served_s = None

    async def work(self, length):
        """Write and read so many bytes; a part of them through tables."""
        out = os.urandom(length)
        self.partition.memory[DATA : DATA + length] = out
        await self._execute(write(length), length, is_write=True)
        assert self.device.written == out
        await self._execute(read(length), length, is_write=False)
        assert self.partition.memory[DATA : DATA + length] == content(length)

    async def _execute(self, cdb, length, *, is_write):
        now = asyncio.get_running_loop().time
        began_s = now()
        while (status := await self._status(cdb, length, is_write=is_write)) != GOOD:
            assert status in (BUSY, TASK_SET_FULL)
            assert now() - began_s < PATIENCE_S
            self.refused += 1
            await asyncio.sleep(0)
        served_s = now()
        self.longest_s = max(self.longest_s, served_s - (self._served_s or began_s))
        self._served_s = served_s
        self.commands += 1

    async def _status(self, cdb, length, *, is_write):
        descriptor = BufferDescriptor.direct(Segment(START + DATA, 0, length))
        if self.commands % 3:
            segments = (Segment(START + DATA, 0, 1), Segment(START + DATA + 1, 0, length - 1))
            table = build_table(segments)
            self.partition.memory[TABLE : TABLE + len(table)] = table
            listed = 2 * (self.commands % 3 - 1)
            descriptor = BufferDescriptor.indirect(Segment(START + TABLE, 0, len(table)), segments, listed)
        tag = next(self._tags)
        out, in_ = (descriptor, None) if is_write else (None, descriptor)
        answer = Response.parse(await self._ask(Command(tag, LUN_0, 0, cdb.ljust(16, b"\0"), 0, out, in_).build(), tag))
        self.credits += answer.delta - 1
        return answer.status
