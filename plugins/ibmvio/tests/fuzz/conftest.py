"""A transport with two emulated adapters: one for whoever is hostile, one for a neighbour with verified I/O."""

import asyncio
import gc
import logging
import os
from contextlib import asynccontextmanager
from itertools import count

import pytest_asyncio
from tgtcore_ibmvio.crq.elements import FIELDS, INIT
from tgtcore_ibmvio.options import IbmvioOptions, IbmvioTargetOptions
from tgtcore_ibmvio.platform.emulated.client import AsyncClientPartition, Call, Hello, Refused
from tgtcore_ibmvio.platform.hcall import Hcall
from tgtcore_ibmvio.transport import IbmvioTransport
from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor, build_table
from tgtcore_srp.iu.login import LoginRequest, LoginResponse
from tgtcore_srp.iu.opcodes import Opcode
from tgtcore_srp.iu.response import Response

from tgtcore.testing.host import TestHost, content, read, write

PAGE = 4096
START = 0x10_0000_0000
PAGES = 64
HELLO = Hello(7, "client", PAGES * PAGE, START, 2 * PAGES * PAGE)
IU, TABLE, DATA = PAGE, 2 * PAGE, 16 * PAGE
CREDITS = 16
HOSTILE, NEIGHBOUR = "30000003", "30000004"
LUN_0 = 0x8000 << 48
LOGIN = LoginRequest(1, 256, 6, bytes(16), bytes(16)).build()
PATIENCE_S = 10
GOOD, BUSY, TASK_SET_FULL = 0x00, 0x08, 0x28


class Driver:
    """An honest client of an adapter whose commands are awaited one by one, and looked at."""

    def __init__(self, partition, device):
        self.partition = partition
        self.device = device
        self.commands = 0
        self.refused = 0
        """How many commands had to be sent again, for want of memory."""
        self.longest_s = 0.0
        self.credits = 0
        self._tags = count(2)

    @classmethod
    async def attach(cls, path, device):
        """Attach as soon as whoever was there has gone."""
        partition = await attach(path)
        return cls(partition, device)

    async def log_in(self):
        """Have a queue, shake hands and log in."""
        partition = self.partition
        partition.map(START, 0, PAGES * PAGE)
        assert await partition.call(Call.H_REG_CRQ, START, PAGE) in (Hcall.SUCCESS, Hcall.CLOSED)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if partition.send(INIT) is Hcall.SUCCESS:
                    break
                await asyncio.sleep(0)
        answer = await self._ask(LOGIN, 1)
        assert answer[0] == Opcode.LOGIN_RSP
        self.credits = LoginResponse.parse(answer).delta

    def __str__(self):
        return f"{self.commands} commands, {self.refused} times none for want of memory, the longest took {self.longest_s:.3f} s"

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

    async def work(self, length):
        """Write and read so many bytes; a part of them through tables."""
        out = os.urandom(length)
        self.partition.memory[DATA : DATA + length] = out
        await self._execute(write(length), length, is_write=True)
        assert self.device.written == out
        await self._execute(read(length), length, is_write=False)
        assert self.partition.memory[DATA : DATA + length] == content(length)

    async def _execute(self, cdb, length, *, is_write):
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (status := await self._status(cdb, length, is_write=is_write)) != GOOD:
            assert status in (BUSY, TASK_SET_FULL)
            assert loop.time() - began < PATIENCE_S
            self.refused += 1
            await asyncio.sleep(0)
        self.longest_s = max(self.longest_s, loop.time() - began)
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


async def attach(path):
    """Be the client partition of an adapter, as soon as nobody else is."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await AsyncClientPartition.attach(path, HELLO)
            except (Refused, ConnectionError):
                await asyncio.sleep(0)


class Host(TestHost):
    """One with a target for each of the two."""

    def __init__(self, loop):
        super().__init__(loop, "ibmvio", "theirs", IbmvioTargetOptions(adapters=(HOSTILE,)))
        self.neighbours = TestHost(loop, "ibmvio", "ours", IbmvioTargetOptions(adapters=(NEIGHBOUR,)))

    def targets(self):
        return [self.target, self.neighbours.target]


class Siege:
    """The transport, the neighbour at work, and what is in use while nobody else is there."""

    def __init__(self, directory, memory_bytes):
        self.directory = directory
        self.host = Host(asyncio.get_running_loop())
        self.transport = IbmvioTransport(
            self.host,
            IbmvioOptions(
                portals=({"address": HOSTILE}, {"address": NEIGHBOUR}),
                emulated={"directory": directory},
                credits=CREDITS,
                memory=memory_bytes,
                transfer_max=1 << 18,
            ),
        )
        self.memory = self.transport._memory
        self.mishaps = []
        self.waited = 0
        """How many elements have had to wait for room at the same time."""
        self._turn = asyncio.Lock()

    @property
    def path(self):
        """Of the adapter that is attacked."""
        return self.directory / f"{HOSTILE}.sock"

    @property
    def server(self):
        """Its server."""
        return next(server for server in self.transport._all() if server.options.address == HOSTILE)

    @property
    def accepted(self):
        """How many commands of the attackers were accepted."""
        return sum(lu.accepted for lu in self.host.lus)

    def look(self):
        """See what is reached."""
        self.waited = max(self.waited, self.server.queue.waiting)

    def __str__(self):
        return (
            f"{self.server.connections} connections, {self.accepted} commands, {self.memory.refusals} without memory, "
            f"{self.waited} answers waited for room"
        )

    async def begin(self):
        self.host.loop.set_exception_handler(lambda _, context: self.mishaps.append(context))
        gc.collect()
        await self.transport.start()
        self.neighbour = await Driver.attach(self.directory / f"{NEIGHBOUR}.sock", self.host.neighbours.device(0))
        await self.neighbour.log_in()
        await self.neighbour.work(PAGE)
        self.before = self.holdings()
        self._worker = asyncio.create_task(self._work())

    async def _work(self):
        for number in count():
            async with self._turn:
                await self.neighbour.work((2, 512, 4097, 65536)[number % 4])

    def holdings(self):
        """What is in use."""
        return {
            "bytes": self.memory.held_bytes,
            "data": self.memory.data_bytes,
            "sharers": self.memory.sharers,
            "short": self.memory.short,
            "descriptors": len(os.listdir("/proc/self/fd")),
            "mappings": sum("memfd:" in line for line in open_maps()),
            "channels": sum(len(server.port.channels) for server in self.transport._all()),
            "waiting": sum(server.queue.waiting for server in self.transport._all()),
            "nexuses": len(self.host.target.nexuses),
            "credits": self.neighbour.credits,
        }

    async def attach(self):
        """Be the partition of the attacked adapter."""
        return await attach(self.path)

    async def serves(self):
        """An honest partition is served there."""
        honest = await Driver.attach(self.path, self.host.device(0))
        await honest.log_in()
        await honest.work(PAGE)
        assert honest.credits == CREDITS
        honest.partition.close()

    def release(self):
        """End what the attacked devices hold."""
        for lun in range(2):
            self.host.device(lun).release()

    async def quiet(self):
        """Nobody attacks any more: wait until everything has been given back."""
        self.release()
        deadline = self.host.loop.time() + PATIENCE_S
        while True:
            async with self._turn:
                found = self.holdings()
            if found == self.before or self.host.loop.time() > deadline:
                break
            await asyncio.sleep(0)
        assert found == self.before
        self.host.check_quiet()
        assert not self._worker.done(), self._worker.exception()
        assert self.mishaps == []

    async def end(self):
        self._worker.cancel()
        await asyncio.wait([self._worker])
        assert self._worker.cancelled(), self._worker.exception()
        self.neighbour.partition.close()
        await self.transport.close()
        self.host.check_quiet()
        self.host.neighbours.check_quiet()
        assert self.memory.held_bytes == 0
        assert self.mishaps == []


def open_maps():
    with open("/proc/self/maps") as maps:
        return maps.readlines()


@asynccontextmanager
async def besieged(directory, caplog, memory_bytes):
    for name in ("tgtcore", "tgtcore_srp", "tgtcore_ibmvio"):
        caplog.set_level(logging.ERROR, name)
    made = Siege(directory, memory_bytes)
    await made.begin()
    yield made
    await made.end()
    assert caplog.get_records("call") == caplog.get_records("teardown") == []


@pytest_asyncio.fixture
async def siege(tmp_path, caplog):
    """With memory for two clients, whatever one of them takes."""
    async with besieged(tmp_path, caplog, 64 << 20) as made:
        yield made


@pytest_asyncio.fixture
async def poor_siege(tmp_path, caplog):
    """With as little memory as can be configured."""
    async with besieged(tmp_path, caplog, 1 << 20) as made:
        yield made
