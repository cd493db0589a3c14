"""Filters that come and go at random under initiators that abort and go away: every command ends once, and tells the truth."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from tgtcore_disk import Disk
from tgtcore_filters.commands import FILTERS
from tgtcore_filters.commands.black_hole import BlackHole, Release

from tgtcore import CommandFilter, NoOptions, Task, TaskState, Tmf, TmfRequest, manage
from tgtcore.logical_unit import Pause
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Bench, Initiator, MemoryTask, bench
from tgtcore.testing.ram import RamStore

BLOCKS = 24
STEPS = 80

PALETTE: list[tuple[str, dict[str, Any]]] = [
    ("delay", {"seconds": 0.001, "distribution": "exponential"}),
    ("delay", {"commands": "writes", "lba": "0-11", "seconds": 0.002}),
    ("error", {"commands": "reads", "probability": 0.3, "sense": "3/11/00"}),
    ("error", {"commands": "writes", "every": 3, "status": "BUSY"}),
    ("black-hole", {"lba": "3-15", "every": 2}),
    ("black-hole", {"initiators": "*:1"}),
    ("rate", {"iops": 3000}),
    ("rate", {"commands": "writes", "bytes_per_second": "1M", "burst_seconds": 0.001}),
    ("stats", {}),
]


class Witness(CommandFilter):
    """Knows what was accepted and has not ended."""

    def __init__(self) -> None:
        super().__init__(NoOptions())
        self.running: set[Task] = set()
        self.ends = 0

    def accepted(self, task: Task) -> None:
        assert task not in self.running
        self.running.add(task)

    def ended(self, task: Task) -> None:
        self.running.remove(task)
        self.ends += 1


class Storm:
    """One run of it."""

    def __init__(self, made: Bench, seed: int) -> None:
        self.made = made
        self.chance = random.Random(seed)
        self.witness = Witness()
        self.filters: list[CommandFilter] = []
        self.initiators = [self._login(number) for number in range(3)]
        self.reading: list[MemoryTask] = []
        self.writing: dict[int, tuple[MemoryTask, int]] = {}
        self.content: list[set[int]] = [{0} for _ in range(BLOCKS)]
        """What each block may hold."""
        self.started = 0
        self._change()

    def _login(self, number: int) -> Initiator:
        return self.made.initiator(f"iqn.2025-01.example:{number}", port=number % 2)

    def run(self) -> None:
        steps: list[tuple[Callable[[], None], int]] = [
            (self._read, 8),
            (self._write, 8),
            (self._turn, 6),
            (self._abort, 2),
            (self._change, 2),
            (self._release, 2),
            (self._pause, 1),
            (self._reset, 1),
            (self._leave, 1),
        ]
        for step in self.chance.choices([step for step, _ in steps], [weight for _, weight in steps], k=STEPS):
            step()
            self._settle()
        self.filters.clear()
        self._use()
        for task in [*self.reading, *(task for task, _ in self.writing.values())]:
            self.made.run_until(lambda task=task: task.state is TaskState.ENDED, str(task))
        self._settle()
        assert not self.writing
        assert not self.witness.running
        assert self.witness.ends >= self.started
        self.made.lus[0].set_filters((), lambda *request: None, self.made.loop)
        initiator = self.made.initiator("iqn.2025-01.example:judge")
        for block in range(BLOCKS):
            data = initiator.execute(bytes((0x28, 0, 0, 0, 0, block, 0, 0, 1, 0))).data
            assert data == data[:1] * 512
            assert data[0] in self.content[block]

    def _read(self) -> None:
        block = self.chance.randrange(BLOCKS)
        cdb = bytes((0x28, 0, 0, 0, 0, block, 0, 0, 1, 0))
        self.reading.append(self.chance.choice(self.initiators).start(cdb, data_in=512))
        self.started += 1

    def _write(self) -> None:
        block, value = self.chance.randrange(BLOCKS), self.chance.randrange(1, 256)
        if block not in self.writing:
            cdb = bytes((0x2A, 0, 0, 0, 0, block, 0, 0, 1, 0))
            task = self.chance.choice(self.initiators).start(cdb, bytes((value,)) * 512)
            self.writing[block] = task, value
            self.started += 1

    def _turn(self) -> None:
        self.made.loop.run_until_complete(asyncio.sleep(self.chance.choice((0, 0, 0.001, 0.003))))

    def _abort(self) -> None:
        tasks = [task for task in self.witness.running if task.state is not TaskState.ENDED]
        if tasks:
            task = self.chance.choice(sorted(tasks, key=lambda task: (task.since_s, task.tag)))
            self._manage(task.nexus, TmfRequest(Tmf.ABORT_TASK, 0, task.tag))

    def _reset(self) -> None:
        self._manage(self.chance.choice(self.initiators).nexus, TmfRequest(Tmf.LOGICAL_UNIT_RESET, 0, 0))
        for initiator in self.initiators:
            for itl in initiator.nexus.itls.values():
                itl.attentions = ()

    def _manage(self, nexus: Any, request: TmfRequest) -> None:
        answers: list[Any] = []
        manage(nexus, request, answers.append)
        self.made.run_until(lambda: bool(answers), str(request))

    def _leave(self) -> None:
        number = self.chance.randrange(len(self.initiators))
        self.initiators[number].logout()
        self.initiators[number] = self._login(number)

    def _change(self) -> None:
        kept = [one for one in self.filters if self.chance.random() < 0.5]
        new = [FILTERS[name](FILTERS[name].Options(**keys)) for name, keys in self.chance.sample(PALETTE, 2)]
        self.filters = self.chance.sample([*kept[:4], *new], len(kept[:4]) + len(new))
        self._use()

    def _use(self) -> None:
        self.made.lus[0].set_filters([self.witness, *self.filters], lambda *request: None, self.made.loop)

    def _release(self) -> None:
        for hole in self.filters:
            if isinstance(hole, BlackHole):
                hole.release(Release(count=self.chance.choice((None, 1, 2))))

    def _pause(self) -> None:
        pause = Pause(self.made.lus[0], "a storm")
        self.made.loop.run_until_complete(pause.begin(10))
        for step in self.chance.choices((self._read, self._write, self._turn, self._change, self._release), k=4):
            step()
        pause.end()

    def _settle(self) -> None:
        """Learn from what has ended."""
        for block, (task, value) in list(self.writing.items()):
            if task.state is not TaskState.ENDED:
                continue
            del self.writing[block]
            if task.abort_status is not None:
                self.content[block] |= {value}
            elif task.result is not None and task.result.status is Status.GOOD:
                self.content[block] = {value}
        for task in [task for task in self.reading if task.state is TaskState.ENDED]:
            self.reading.remove(task)
            if task.abort_status is None:
                assert task.result is not None
                assert task.result.status in (Status.GOOD, Status.CHECK_CONDITION)


@pytest.mark.parametrize("seed", range(40))
def test_a_storm(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    with bench() as made:
        made.add(Disk, RamStore(BLOCKS * 512))
        Storm(made, seed).run()
    assert not [record for record in caplog.records if record.exc_info]
