"""The transport under attack: what is in use of it, and a neighbour at work who is to notice nothing."""

import asyncio
import gc
import os
import threading
import traceback
from contextlib import contextmanager
from itertools import count

from support.memory import needed
from tgtcore_ibmvio.options import IbmvioOptions, IbmvioTargetOptions
from tgtcore_ibmvio.transport import IbmvioTransport

from tgtcore import OpenFile, Region
from tgtcore.device import command
from tgtcore.logical_unit import LogicalUnit
from tgtcore.options import NoOptions
from tgtcore.testing.host import SmallDevice, TestHost, content

from .neighbour import PAGE, PATIENCE_S, Neighbour
from .units import TRANSFER_MAX

HOSTILE = ("30000003", "30000005", "30000006")
NEIGHBOUR = "30000004"
CREDITS = 16
LEAST_BYTES = (len(HOSTILE) + 1) * ((CREDITS + 8) * 256 + TRANSFER_MAX + (1 << 17))
"""As little memory as can be configured."""
FILE_BYTES = 200_000
"""What the device that answers with pieces of a file has; what is behind can't be read."""


def _resident():
    with open("/proc/self/statm") as sizes:
        return int(sizes.read().split()[1]) * PAGE


class FileDevice(SmallDevice):
    """One whose data-in stays in its file for as long as that is possible."""

    @command(0x28, "28 00 FF FF FF FF FF FF FF 00")
    def read(self, task):
        """Give a piece of the file, which may be shorter than that."""
        length = int.from_bytes(task.cdb[6:9], "big")
        task.data_in = Region(self.file, 0, length) if task.accepts_region else content(length)


class Host(TestHost):
    """One with a target for the attackers, and another for the neighbour."""

    def __init__(self, loop):
        super().__init__(loop, "ibmvio", "theirs", IbmvioTargetOptions(adapters=HOSTILE))
        self.neighbours = TestHost(loop, "ibmvio", "ours", IbmvioTargetOptions(adapters=(NEIGHBOUR,)))
        self.target.unmap(1, lambda: None)
        self.lus[1] = LogicalUnit(self.lus[1].identity, FileDevice, None, NoOptions())
        self.target.map(1, self.lus[1])
        fd = os.memfd_create("data", os.MFD_CLOEXEC)
        os.write(fd, content(FILE_BYTES))
        self.device(1).file = OpenFile(fd)

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
                portals=tuple({"address": address} for address in (*HOSTILE, NEIGHBOUR)),
                emulated={"directory": directory},
                credits=CREDITS,
                memory=memory_bytes,
                transfer_max=TRANSFER_MAX,
            ),
        )
        self.memory = self.transport._memory
        self.mishaps = []
        self.waited = 0
        """How many elements have had to wait for room at the same time."""
        self.settled = 0
        """How many sessions have had all their slots and credits back in the end."""
        self.partitions = set()
        """Those that are there."""
        self._connections = 0
        self._turn = asyncio.Lock()
        self._administration = asyncio.Lock()

    def path(self, address):
        """Of the socket of an adapter."""
        return self.directory / f"{address}.sock"

    def server(self, address):
        """The server of an adapter."""
        return next(server for server in self.transport._all() if server.options.address == address)

    @property
    def accepted(self):
        """How many commands of the attackers were accepted."""
        return sum(lu.accepted for lu in self.host.lus)

    @property
    def connections(self):
        """How often an attacker has greeted."""
        return self._connections + sum(self.server(address).connections for address in HOSTILE)

    def __str__(self):
        return (
            f"{self.connections} connections, {self.accepted} commands, {self.memory.refusals} without memory, "
            f"{self.waited} answers waited for room, {self.settled} sessions came to rest"
        )

    # ---- the neighbour ------------------------------------------------------------------------------------------------

    async def begin(self):
        """Have the neighbour work."""
        self.host.loop.set_exception_handler(self._mishap)
        gc.collect()
        content(0xFFFFFF)  # of which the most that any command wants is kept
        await self.transport.start()
        self.neighbour = await Neighbour.attach(self.path(NEIGHBOUR), self.host.neighbours.device(0))
        await self.neighbour.log_in()
        await self.neighbour.work(PAGE)
        self.before = self.holdings()
        self._worker = asyncio.create_task(self._work())

    def _mishap(self, _, context):
        """Something was raised where nobody expects it; the exception itself would keep memory that is looked at."""
        error = context.get("exception")
        self.mishaps.append(context["message"] if error is None else "".join(traceback.format_exception(error)))

    async def _work(self):
        for number in count():
            async with self._turn:
                await self.neighbour.work((2, 512, 4097, 65536, TRANSFER_MAX)[number % 5])

    async def serves(self, address):
        """An honest partition is served by an adapter."""
        honest = await Neighbour.attach(self.path(address), self.host.device(0))
        await honest.log_in()
        await honest.work(PAGE)
        assert honest.credits == CREDITS
        honest.partition.close()

    # ---- what is in use -----------------------------------------------------------------------------------------------

    def holdings(self):
        """What is in use."""
        with open("/proc/self/maps") as maps:
            mappings = sum("memfd:tgtcore" in line for line in maps)
        servers = self.transport._all()
        return {
            "bytes": self.memory.held_bytes,
            "data": self.memory.data_bytes,
            "sharers": self.memory.sharers,
            "short": self.memory.short,
            "descriptors": len(os.listdir("/proc/self/fd")),
            "mappings": mappings,
            "channels": sum(len(server.port.channels) for server in servers),
            "waiting": sum(server.queue.waiting for server in servers),
            "nexuses": len(self.host.target.nexuses),
            "credits": self.neighbour.credits,
        }

    async def needed(self):
        """How much memory the process uses, and needs when it has tidied up; the neighbour waits meanwhile."""
        async with self._turn:
            self.neighbour.pause()
            return {"untidied": _resident(), **needed()}

    def look(self, address):
        """See what is reached."""
        self.waited = max(self.waited, self.server(address).queue.waiting)

    async def breathe(self):
        """Let the others do something."""
        await asyncio.sleep(0)

    def take_away(self, lun):
        """Have a LUN of the attackers that is not there until the last command to it has ended."""
        target = self.host.target
        if lun in target.luns.mapped():
            target.unmap(lun, lambda: target.map(lun, self.host.lus[lun]))

    async def unplug(self, address):
        """Have an adapter that is not served for a moment."""
        async with self._administration:
            options, server = self.transport.options, self.server(address)
            others = tuple(one for one in options.portals if one.address != address)
            await self.transport.apply_options(options.model_copy(update={"portals": others}))
            for _ in range(3):
                self.release()
                await self.breathe()
            await self.transport.apply_options(options)
            if server is not self.server(address):
                self._connections += server.connections

    def show(self):
        """Somebody looks at what is there."""
        assert len(self.transport.portals()) > len(HOSTILE) - 1
        assert len(self.transport.sessions()) <= len(HOSTILE) + 1
        assert self.transport.statistics()

    def release(self):
        """End what the attacked devices hold."""
        for lun in range(2):
            self.host.device(lun).hangs = False
            self.host.device(lun).release()

    async def quiet(self):
        """Nobody attacks any more: wait until everything has been given back."""
        self.release()
        deadline_s = self.host.loop.time() + PATIENCE_S
        while True:
            async with self._turn:
                found = self.holdings()
            if self.mishaps or found == self.before or self.host.loop.time() > deadline_s:
                break
            await asyncio.sleep(0)
        assert not self.mishaps, self.mishaps[0]
        kept = {name: (self.before[name], value) for name, value in found.items() if self.before[name] != value}
        assert not kept, f"before and now: {kept}"
        self.host.check_quiet()
        assert not self._worker.done(), self._worker.exception()

    async def end(self):
        """End all of it; nothing is left."""
        self._worker.cancel()
        await asyncio.wait([self._worker])
        assert self._worker.cancelled(), self._worker.exception()
        self.neighbour.partition.close()
        await self.transport.close()
        self.host.check_quiet()
        self.host.neighbours.check_quiet()
        assert self.memory.held_bytes == 0
        assert not self.mishaps, self.mishaps[0]

    @contextmanager
    def scribbler(self, dice):
        """Meanwhile, requests and tables change while the server reads them."""
        over = threading.Event()

        def scribble():
            while not over.wait(0.001):
                for partition in list(self.partitions):
                    partition.scribble(dice)

        thread = threading.Thread(target=scribble)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
