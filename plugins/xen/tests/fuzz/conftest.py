"""A transport with two guests of an emulated machine: a hostile one, and a neighbour whose data is verified."""

import asyncio
import gc
import logging
import os
from collections import Counter
from contextlib import asynccontextmanager
from functools import lru_cache
from itertools import count
from random import Random

import pytest_asyncio
from tgtcore_xen.frontend import FrontEnd
from tgtcore_xen.frontend.hostile import HostileFrontEnd
from tgtcore_xen.options import XenOptions, XenTargetOptions
from tgtcore_xen.platform.emulated import EmulatedXen, Faults
from tgtcore_xen.transport import XenTransport

from tgtcore import OpenFile, Region
from tgtcore.device import command
from tgtcore.logical_unit import LogicalUnit
from tgtcore.options import NoOptions
from tgtcore.testing.host import HELD, READY, REFUSED, SmallDevice, TestHost, content, read, write

PATIENCE_S = 30
DISK = (0, 0, 0)
CDBS = (READY, HELD, REFUSED, read(512), read(4096), read(70_000), write(512), write(4096), write(100_000))
ADDRESSES = (DISK, DISK, (0, 0, 1), (0, 0, 7), (0, 1, 0), (65535, 65535, 65535))
LENGTHS = (1, 512, 4097, 65536, 200_000)
HOSTILE, NEIGHBOUR = "bad/0", "good/0"
FILE_BYTES = 65_536
"""What the device that answers with pieces of a file has; what is behind can't be read."""
TURNS_APART = 5
"""So often the loop turns for each thing that a guest does which is not served."""
GOOD, BUSY = 0x00, 0x08
expected = lru_cache(len(LENGTHS))(content)


class Neighbour:
    """A front end that writes and reads, and looks at every byte."""

    def __init__(self, guest, device):
        self.front = FrontEnd(guest)
        self.device = device
        self.commands = 0
        self.refused = 0
        """How many commands had to be sent again, for want of memory."""
        self.longest_s = 0.0

    def __str__(self):
        return f"{self.commands} commands, {self.refused} times none for want of memory, the longest took {self.longest_s:.3f} s"

    async def work(self, length):
        """Write and read so many bytes."""
        out = os.urandom(length)
        await self._execute(write(length), data_out=out)
        assert self.device.written == out
        assert await self._execute(read(length), room=length) == expected(length)

    async def _execute(self, cdb, **how):
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            async with asyncio.timeout(PATIENCE_S):
                outcome = await self.front.execute(DISK, cdb, **how)
            assert outcome.host == 0
            if outcome.status == GOOD:
                break
            assert outcome.status == BUSY
            assert loop.time() - began < PATIENCE_S
            self.refused += 1
            await asyncio.sleep(0)
        self.longest_s = max(self.longest_s, loop.time() - began)
        self.commands += 1
        return outcome.data


class FileDevice(SmallDevice):
    """One whose data-in stays in its file for as long as that is possible."""

    @command(0x28, "28 00 FF FF FF FF FF FF FF 00")
    def read(self, task):
        """Give a piece of the file, which may be shorter than that."""
        assert task.accepts_region
        self.pieces += 1
        task.data_in = Region(self.file, 0, int.from_bytes(task.cdb[6:9], "big"))


class Host(TestHost):
    """One with a target for each of the two."""

    def __init__(self, loop):
        super().__init__(loop, "xen", "theirs", XenTargetOptions())
        self.neighbours = TestHost(loop, "xen", "ours", XenTargetOptions())
        self.target.unmap(1, lambda: None)
        self.lus[1] = LogicalUnit(self.lus[1].identity, FileDevice, None, NoOptions())
        self.target.map(1, self.lus[1])
        fd = os.memfd_create("data", os.MFD_CLOEXEC)
        os.write(fd, content(FILE_BYTES))
        self.device(1).file, self.device(1).pieces = OpenFile(fd), 0

    def targets(self):
        return [self.target, self.neighbours.target]

    def find_target(self, name):
        return next((target for target in self.targets() if target.name == name), None)


class Siege:
    """The transport, the neighbour at work, and one hostile guest after the other."""

    def __init__(self, journal, memory_bytes):
        loop = asyncio.get_running_loop()
        self.host = Host(loop)
        self.machine = EmulatedXen.named("besieged", loop)
        portals = ({"address": HOSTILE, "target": "theirs"}, {"address": NEIGHBOUR, "target": "ours"})
        self.transport = XenTransport(
            self.host,
            XenOptions(
                portals=portals,
                platform="emulated",
                emulated={"machine": "besieged"},
                memory=memory_bytes,
                journal=journal,
                close_s=0.1,
            ),
        )
        self.memory = self.transport._memory
        self.mishaps = []
        self.acts = Counter()
        self.cut_off = Counter()
        """Why guests were cut off, without the numbers."""
        self.guests = 0
        self.connections = 0
        self.mischief = 0
        self._turn = asyncio.Lock()
        self._told = None

    def __str__(self):
        return (
            f"{self.guests} guests, {self.connections} connections, {self.accepted} commands, {self.mischief} changes within "
            f"calls, {self.memory.refusals} without memory, cut off: {dict(self.cut_off)}"
        )

    @property
    def accepted(self):
        """How many commands of hostile guests were accepted."""
        return sum(lu.accepted for lu in self.host.lus)

    @property
    def keeper(self):
        """Of the HBA that is attacked."""
        return self.transport._keepers[HOSTILE]

    async def begin(self):
        self.host.loop.set_exception_handler(lambda _, context: self.mishaps.append(context))
        await self.transport.start()
        self.machine.server.make(0, "/local/domain/0/error/backend/vscsi")  # which stays, once somebody was cut off
        self.neighbour = Neighbour(self.machine.create("good"), self.host.neighbours.device(0))
        await self.neighbour.front.connect()
        await self.neighbour.work(4096)
        await self._serve_honest()
        await self._until(
            lambda: not (self.keeper.guest or self.host.target.nexuses or self.machine.in_use().mapped > 1)
        )
        gc.collect()
        self.before = self.holdings()
        self.nodes = set(self.machine.server.tree.nodes)
        self._worker = asyncio.create_task(self._work())

    async def _work(self):
        for number in count():
            async with self._turn:
                await self.neighbour.work(LENGTHS[number % len(LENGTHS)])
            await asyncio.sleep(0.004)

    def holdings(self):
        """What is in use while no hostile guest is there."""
        return {
            "machine": self.machine.in_use(),
            "ends": len(self.machine.ports._ends),
            "watches": len(self.machine.server.watches),
            "bytes": self.memory.held_bytes,
            "sharers": self.memory.sharers,
            "descriptors": len(os.listdir("/proc/self/fd")),
            "nexuses": len(self.host.target.nexuses),
            "sessions": len(self.transport.sessions()),
            "neighbour's grants": self.neighbour.front.guest.granted,
        }

    async def attack(self, acts, seed):
        """Hostile guests do so many things."""
        random = Random(seed)
        front = None
        for number in range(acts):
            if front is None or front.dead:
                self._forget(front)
                front = self._arrive(random)
            front.act()
            if not number % 4 or not front.connected:
                self._look()
                for _ in range(1 if front.connected else TURNS_APART):
                    await asyncio.sleep(0)
            if not number % 50:
                self.release()
        front.guest.destroy()
        self._forget(front)
        faults = Faults()
        self.machine.faults.__dict__.update(faults.__dict__)

    def _arrive(self, random):
        front = HostileFrontEnd(self.machine.create("bad", pages=1024), random, CDBS, ADDRESSES)
        faults, guest = self.machine.faults, front.guest

        def fails(domid, number):
            front.meddle(0.01)
            return domid == guest.domid and random.random() < 0.005

        def refuses(operation, path):
            front.meddle(0.001)
            return 0

        faults.copy_fails = faults.map_fails = faults.bind_fails = fails
        faults.refuses = refuses
        return front

    def _forget(self, front):
        if front is not None:
            self.guests += 1
            self.acts.update(front.acts)
            self.connections += front.connections
            self.mischief += front.mischief

    def _look(self):
        refusal = self.keeper.wishes.refusal
        if refusal is not self._told:
            self._told = refusal
            if refusal is not None:
                self.cut_off["".join(letter for letter in str(refusal) if not letter.isdigit())[:60]] += 1

    async def _until(self, holds):
        """Let the loop go on until something holds."""
        deadline = self.host.loop.time() + PATIENCE_S
        while not holds():
            assert self.host.loop.time() < deadline
            self.release()
            await asyncio.sleep(0)

    def release(self):
        """End what the attacked devices hold."""
        for lun in range(2):
            self.host.device(lun).release()

    async def quiet(self):
        """Nobody attacks any more: wait until everything has been given back."""
        await self._until(lambda: not self.keeper.guest)
        deadline = self.host.loop.time() + PATIENCE_S
        while True:
            gc.collect()  # a guest's memory
            async with self._turn:
                found = self.holdings()
            if found == self.before or self.host.loop.time() > deadline:
                break
            for _ in range(20):
                self.release()
                await asyncio.sleep(0)
        extra = sorted(set(self.machine.server.tree.nodes) - self.nodes)
        assert found == self.before, "\n".join([str(self), *extra])
        self.host.check_quiet()
        assert not self._worker.done(), self._worker.exception()
        assert self.mishaps == []

    async def serves(self):
        """An honest guest of the same name is served."""
        await self._serve_honest()
        await self.quiet()

    async def _serve_honest(self):
        honest = Neighbour(self.machine.create("bad"), self.host.device(0))
        await honest.front.connect()
        await honest.work(4096)
        honest.front.guest.destroy()

    async def end(self):
        self._worker.cancel()
        await asyncio.wait([self._worker])
        assert self._worker.cancelled(), self._worker.exception()
        self.neighbour.front.guest.destroy()
        await self.transport.close()
        self.host.check_quiet()
        self.host.neighbours.check_quiet()
        assert self.memory.held_bytes == 0
        assert self.machine.in_use()[:2] == (0, 0)
        assert self.mishaps == []


@asynccontextmanager
async def besieged(journal, caplog, monkeypatch, memory_bytes):
    """Nothing waits for the time to pass, so that as much as can be happens in it."""
    for name, value in {"AFRESH_S": 0.0, "_EACH_S": 0.0, "_AGAIN_S": 0.001}.items():
        monkeypatch.setattr(f"tgtcore_xen.keeping.keeper.{name}", value)
    monkeypatch.setattr("tgtcore_xen.keeping.pace.TOOK_MAX_S", 0.0)
    monkeypatch.setattr("tgtcore_xen.keeping.wishes.REFUSED_S", 0.01)
    monkeypatch.setattr("tgtcore.testing.host.content", lru_cache(16)(content))
    for name in ("tgtcore", "tgtcore_srp", "tgtcore_xen"):
        caplog.set_level(logging.ERROR, name)
    made = Siege(journal, memory_bytes)
    await made.begin()
    yield made
    await made.end()
    assert caplog.get_records("call") == caplog.get_records("teardown") == []


@pytest_asyncio.fixture
async def siege(tmp_path, caplog, monkeypatch):
    """With memory for two guests, whatever one of them takes."""
    async with besieged(tmp_path, caplog, monkeypatch, 64 << 20) as made:
        yield made


@pytest_asyncio.fixture
async def poor_siege(tmp_path, caplog, monkeypatch):
    """With as little memory as can be configured."""
    async with besieged(tmp_path, caplog, monkeypatch, 1 << 20) as made:
        yield made
