"""The ledger: whatever is removed meanwhile, each accepted command ends exactly once and nothing stays in use.

Random things happen to a target with two disks: commands in all phases of their life, task management, mapping changes, resizes,
reloads, lost nexuses.  Workers do nothing until they are told, so that each phase lasts as long as it likes.
"""

import asyncio
import errno
import random
from collections.abc import Callable
from typing import Any

import pytest
from tgtcore_disk import Disk, DiskOptions

from tgtcore.device import CommandTable
from tgtcore.device.absent import answer_absent
from tgtcore.errors import Draining, DrainTimeout
from tgtcore.logical_unit import Identity, LogicalUnit, Pause
from tgtcore.logical_unit.identity import derived_unique_id
from tgtcore.loop import Done, Workers
from tgtcore.nexus import InitiatorPort, Nexus, TargetPort, Tmf, TmfRequest, manage
from tgtcore.options import NoOptions
from tgtcore.scsi.lun import encode_lun
from tgtcore.store import Buffer, Claim, OpenStore
from tgtcore.target import Target
from tgtcore.task import Attribute, State, Task
from tgtcore.testing.ram import RamStore

BLOCK = 512
BLOCKS = 64
LUNS = 3
STEPS = 400

_UNMAP = bytes.fromhex("0016 0010 00000000 0000000000000008 00000010 00000000")
COMMANDS: dict[str, bytes] = {
    "00": b"",  # TEST UNIT READY
    "03 00 00 00 FF": b"",  # REQUEST SENSE
    "28 00 00000008 00 0004": b"",  # READ
    "28 00 0000003E 00 0002": b"",  # READ, beyond the end of a smaller disk
    "2A 00 00000008 00 0004": bytes(4 * BLOCK),  # WRITE
    "2A 08 0000000A 00 0004": bytes(4 * BLOCK),  # WRITE, FUA
    "89 00 0000000000000009 000000 01": bytes(2 * BLOCK),  # COMPARE AND WRITE
    "93 00 0000000000000004 00000010": bytes(BLOCK),  # WRITE SAME
    "42 00 00 00 00 00 00 0018": _UNMAP,
    "35": b"",  # SYNCHRONIZE CACHE
    "16": b"",  # RESERVE
    "17": b"",  # RELEASE
    "1B 00 00 00 00": b"",  # START STOP UNIT, stop
    "1B 00 00 00 01": b"",  # START STOP UNIT, start
    "FF": b"",  # an unknown one
}
"""CDB and the data-out that comes with it."""
_RARE = ("16", "1B 00 00 00 00", "FF")


class HeldWorkers(Workers):
    """Does nothing until told."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[..., Any], tuple[Any, ...], Done]] = []

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        self.jobs.append((function, args, done))

    def work(self, number: int, failure: OSError | None = None) -> None:
        """Do one job that waits, or let it fail."""
        function, args, done = self.jobs.pop(number)
        try:
            if failure is not None:
                raise failure
            result, error = function(*args), None
        except Exception as raised:
            result, error = None, raised
        done(result, error)


class BusyStore(RamStore):
    """Never at once."""

    def read_nowait(self, offset: int, length: int) -> None:
        return None

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        return False


class NewDisk(Disk):
    """Another version."""


class BrokenDisk(Disk):
    """A version that does not fit."""

    def take_over(self, state: Any) -> None:
        raise ZeroDivisionError


class CountedTask(Task):
    """Counts its ends; its data-out comes when the machine wants it to."""

    ends = 0
    offered = b""

    def done(self) -> None:
        self.ends += 1

    def want_data(self) -> None:
        return

    def data_comes(self) -> None:
        self.data_out = self.offered[: self.wanted_out]
        self.data_arrived()


class Once:
    """A callback that must be called exactly once."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *_: Any) -> None:
        self.calls += 1


class Ledger:
    """Everything that can happen to a target, in any order.

    :param seed: decides what happens.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loop = asyncio.new_event_loop()
        self.workers = HeldWorkers()
        self.target = Target("iqn.2025-01.example:ledger", 1, "memory", NoOptions())
        self.lus = [self._lu(name) for name in "ab"]
        self.nexuses: list[Nexus] = []
        self.tasks: list[CountedTask] = []
        self.callbacks: list[Once] = []
        self.resizes: list[asyncio.Task[None]] = []
        self.reloads: list[asyncio.Task[None]] = []
        self.paused: set[LogicalUnit] = set()
        for lun, lu in enumerate(self.lus):
            self.target.map(lun, lu)

    def _lu(self, name: str) -> LogicalUnit:
        store = OpenStore(name, BusyStore(BLOCKS * BLOCK), self.workers)
        identity = Identity.make(name, derived_unique_id("ledger", name))
        lu = LogicalUnit(identity, Disk, store, DiskOptions())
        store.claims.claim(Claim.WRITE_EXCLUSIVE, str(lu))
        return lu

    def _once(self) -> Once:
        self.callbacks.append(Once())
        return self.callbacks[-1]

    def _nexus(self) -> Nexus:
        """Mostly one that is open, or closing."""
        there = [nexus for nexus in self.nexuses if not nexus.closed]
        return self.random.choice(there if there and self.random.random() < 0.95 else self.nexuses)

    def _lun(self) -> int:
        return self.random.randrange(LUNS)

    # ---- what can happen ----------------------------------------------------------------------------------------------

    def log_in(self) -> None:
        if len(self.target.nexuses) >= 3:
            return
        name = f"host{len(self.nexuses) % 4}"
        port = InitiatorPort(name, name.encode(), "127.0.0.1")
        nexus = Nexus(self.target, port, TargetPort(f"{self.target.name},1", 1, 1, 5), _commands, answer_absent)
        self.target.nexus_opened(nexus)
        self.nexuses.append(nexus)

    def lose_nexus(self) -> None:
        self._nexus().close(self._once())

    def submit(self) -> None:
        choose = self.random.choice
        cdb = choose([cdb for cdb in COMMANDS for _ in range(1 if cdb in _RARE else 4)])
        data, tag = COMMANDS[cdb], len(self.tasks)
        nexus = self._nexus()
        lun = choose([*nexus.luns()] * 4 + [self._lun()])
        attribute = choose([Attribute.SIMPLE] * 8 + [Attribute.ORDERED, Attribute.HEAD_OF_QUEUE])
        raw = bytes.fromhex(cdb).ljust(16, b"\0")
        task = CountedTask(nexus, _field(lun), tag, attribute, raw, len(data), 0 if data else 65536)
        task.offered = data
        if data and choose([True, False]):
            task.data_out = data  # immediate data
        if (itl := nexus.itl(lun)) is not None and choose([True, True, False]):
            itl.attentions = ()
        try:
            nexus.submit(task)
        except Draining:
            assert nexus.leases.draining
            return
        self.tasks.append(task)

    def data_comes(self) -> None:
        waiting = [task for task in self.tasks if task.state is State.DATA]
        if waiting:
            self.random.choice(waiting).data_comes()

    def a_worker_is_done(self) -> None:
        if self.workers.jobs:
            self.workers.work(self.random.randrange(len(self.workers.jobs)))

    def a_worker_fails(self) -> None:
        if self.workers.jobs:
            code = self.random.choice([errno.EIO, errno.ENOSPC, errno.ETIMEDOUT])
            self.workers.work(self.random.randrange(len(self.workers.jobs)), OSError(code, "as the test wants"))

    def manage(self) -> None:
        function = self.random.choice(list(Tmf))
        tag = max(len(self.tasks) - self.random.randrange(8), 0)
        answer = self._once()
        manage(self._nexus(), TmfRequest(function, _field(self._lun()), tag), answer)
        if function in (Tmf.QUERY_TASK, Tmf.CLEAR_ACA):
            assert answer.calls == 1

    def unmap(self) -> None:
        self.target.unmap(self._lun(), self._once())

    def map(self) -> None:
        lun, lu, mapped = self._lun(), self.random.choice(self.lus), self.target.luns.luns()
        if lun not in mapped and lu not in mapped.values():
            self.target.map(lun, lu)

    def move(self) -> None:
        lun, to = self._lun(), self._lun()
        lu = self.target.luns.luns().get(lun)
        if lu is not None and (to == lun or to not in self.target.luns):
            self.target.unmap(lun, self._once())
            self.target.map(to, lu)

    def resize(self) -> None:
        blocks = self.random.choice([16, 63, 64, 128])
        self.resizes.append(self.loop.create_task(self.random.choice(self.lus).resize(blocks * BLOCK)))
        self.turn()

    def reload(self) -> None:
        self.reloads.append(self.loop.create_task(self._reload(self.random.choice(self.lus))))
        self.turn()

    async def _reload(self, lu: LogicalUnit) -> None:
        """Another device on another view of the same store, or none after all; or somebody is busy for too long."""
        pause = Pause(lu, "a reload")
        try:
            await pause.begin(self.random.choice([0, 1000, 1000]))
        except DrainTimeout:
            return
        self.paused.add(lu)
        for _ in range(self.random.randrange(5)):
            await asyncio.sleep(0)
        assert lu.store is not None
        new, kind = OpenStore(lu.name, lu.store.store, self.workers), self.random.choice([Disk, NewDisk, BrokenDisk])
        try:
            pause.refit(kind, new, DiskOptions())
            new.claims.claim(Claim.WRITE_EXCLUSIVE, str(lu))
        except ZeroDivisionError:
            assert kind is BrokenDisk
        assert (type(lu.device) is kind) == (kind is not BrokenDisk)
        for _ in range(self.random.randrange(3)):
            await asyncio.sleep(0)
        self.paused.remove(lu)
        pause.end()

    def set_online(self) -> None:
        self.random.choice(self.lus).set_online(self.random.random() < 0.8)

    def change_tas(self) -> None:
        self.random.choice(self.lus).task_aborted_status = self.random.random() < 0.5

    def turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))

    # ---- what is always true ------------------------------------------------------------------------------------------

    def check(self) -> None:
        for task in self.tasks:
            assert task.ends == (task.state is State.ENDED), f"{task} was told {task.ends} times: {task.state}"
        alive = [task for task in self.tasks if task.state is not State.ENDED]
        for lu in self.lus:
            assert lu.accepted == lu.ended + len(lu.tasks())
            assert set(lu.tasks()) == {task for task in alive if task.itl is not None and task.itl.lu is lu}
            here = {itl for nexus in self.target.nexuses for itl in nexus.itls.values() if itl.lu is lu}
            assert here <= set(lu.itls), f"{lu} has forgotten a nexus that has it mapped"
            assert lu not in self.paused or State.RUNNING not in {task.state for task in lu.tasks()}
        for nexus in self.nexuses:
            mine = {task for task in alive if task.nexus is nexus}
            assert set(nexus.tasks.values()) == set(nexus.leases.holders_of(Task)) == mine
        assert set(self.target.leases.holders_of(Nexus)) == set(self.target.nexuses)
        assert {nexus for nexus in self.nexuses if not nexus.closed} == set(self.target.nexuses)

    # ---- the end ------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        for nexus in self.nexuses:
            nexus.close(self._once())
        for _ in range(STEPS):
            while self.workers.jobs:
                self.workers.work(0)
            self.turn()
        for reload in self.reloads:
            assert reload.done()
            reload.result()
        for resize in self.resizes:
            assert resize.done()
            assert isinstance(resize.exception(), OSError | None)
        self.check()
        assert {task.state for task in self.tasks} == {State.ENDED}
        assert [callback.calls for callback in self.callbacks] == [1] * len(self.callbacks)
        for lu in self.lus:
            store: Any = lu.store
            device: Any = lu.device
            assert (len(lu.leases), len(device.ranges), lu.itls) == (0, 0, {})
            lu.close()
            assert (len(store.leases), store.claims.claimants()) == (0, {})
        assert len(self.target.leases) == 0


WEIGHTS: dict[Callable[[Ledger], None], int] = {
    Ledger.submit: 30,
    Ledger.a_worker_is_done: 12,
    Ledger.data_comes: 6,
    Ledger.log_in: 4,
    Ledger.a_worker_fails: 2,
    Ledger.manage: 2,
    Ledger.resize: 1,
    Ledger.reload: 2,
    Ledger.turn: 8,
    Ledger.map: 4,
    Ledger.unmap: 1,
    Ledger.move: 1,
    Ledger.set_online: 2,
    Ledger.change_tas: 1,
    Ledger.lose_nexus: 1,
}
"""What happens, and how often."""


def _commands(lu: LogicalUnit) -> CommandTable:
    return lu.commands


def _field(lun: int) -> int:
    return int.from_bytes(encode_lun(lun), "big")


@pytest.mark.parametrize("seed", range(60))
def test_each_command_ends_once_and_nothing_stays_in_use(seed: int) -> None:
    ledger = Ledger(seed)
    try:
        ledger.log_in()
        for action in ledger.random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=STEPS):
            action(ledger)
            ledger.check()
        ledger.end()
    finally:
        ledger.loop.close()
