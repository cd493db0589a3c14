"""Runs that are logged, and what must be there when the power fails at some moment of them."""

from dataclasses import dataclass, field
from random import Random

from cow.history import History, assert_possible, assert_same
from cow.judges import Judge
from cow.operations import CLEARS, WRITES, Worker, random_spot
from cow.recording import Disk, Log
from cow.shapes import Files, Shape
from cow.sharing import share_tables

_SNAPSHOTS_MAX = 4


@dataclass(frozen=True)
class Step:
    """An operation and what it led to.

    :param begin: events in the log before it.
    :param end: events in the log after it.
    :param durable: all that was done until now is durable when it has returned.
    :param through: a range that is durable when it has returned.
    """

    begin: int
    end: int
    content: bytearray
    snapshots: dict[str, bytes]
    durable: bool
    through: range = range(0)


@dataclass
class Run:
    """Random work on an image.

    :param weights: how often which operation comes, by name.
    :param aligned: how guest writes are aligned.
    :param full_snapshots: before the log begins, the disk is filled and a snapshot made, so many times.
    :param shared_tables: before the log begins, the disk and the last of these snapshots have the same tables, as QEMU makes them.
    """

    shape: Shape
    seed: int
    operations: int
    weights: dict[str, int]
    aligned: tuple[str, ...] = ("sector", "cluster")
    full_snapshots: int = 0
    shared_tables: bool = False
    log: Log = field(default_factory=Log)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = Random(self.seed)
        self._names = iter(range(1 << 30))
        files = Files.make(self.shape)
        self._worker = Worker(files.open(), History(bytearray(files.content)), self._chance)
        for _ in range(self.full_snapshots):
            self._write_at(0, self.shape.size_bytes)
            self._snapshot()
        self._worker.image.close()
        if self.shared_tables:
            assert share_tables(files.image)
        self.before = files.copy()
        self.files = files.recorded(self.log)
        self._worker.image = self.files.open()
        history = self._worker.history
        self._note(0, durable=True)
        for name in self._chance.choices(list(self.weights), list(self.weights.values()), k=self.operations):
            begin = len(self.log.events)
            through = getattr(self, f"_{name}")()
            self._note(begin, durable=not history.past, through=through or range(0))
        begin = len(self.log.events)
        self._worker.image.close()
        self._note(begin, durable=True)

    def _note(self, begin: int, *, durable: bool, through: range = range(0)) -> None:
        history = self._worker.history
        end = len(self.log.events)
        self.steps.append(Step(begin, end, history.content[:], dict(history.snapshots), durable, through))

    # ---- operations -------------------------------------------------------------------------------------------------

    def _write(self) -> range | None:
        spot, how = random_spot(self._chance, self.aligned), self._chance.choice(WRITES)
        offset, length = spot.range(self._worker.image.size_bytes, self.shape.cluster_bytes)
        self._worker.write(spot, how)
        return range(offset, offset + length) if how == "write_through" else None

    def _clear(self) -> None:
        self._worker.clear(random_spot(self._chance, self.aligned), self._chance.choice(list(CLEARS)))

    def _fill(self) -> None:
        """Write a long range at once."""
        size = self._worker.image.size_bytes
        self._write_at(self._chance.randrange(size // 2) // 512 * 512, size // 4 // 512 * 512)

    def _write_at(self, offset: int, length: int) -> None:
        data = self._chance.randbytes(length)
        self._worker.image.write(offset, data)
        self._worker.history.write(offset, data)

    def _flush(self) -> None:
        self._worker.flush()

    def _snapshot(self) -> None:
        history = self._worker.history
        if len(history.snapshots) < _SNAPSHOTS_MAX:
            self._worker.create_snapshot(f"snapshot {next(self._names)}")
        else:
            self._worker.delete_snapshot(self._chance.choice(list(history.snapshots)))

    def _delete(self) -> None:
        if self._worker.history.snapshots:
            self._worker.delete_snapshot(self._chance.choice(list(self._worker.history.snapshots)))

    def _revert(self) -> None:
        if self._worker.history.snapshots:
            self._worker.revert(self._chance.choice(list(self._worker.history.snapshots)))

    def _grow(self) -> None:
        self._worker.resize(self._worker.image.size_bytes + self._chance.randrange(1, 40) * self.shape.cluster_bytes)

    def _shrink(self) -> None:
        """By a few clusters, and to within one."""
        size, cluster = self._worker.image.size_bytes, self.shape.cluster_bytes
        self._worker.resize(max(size - self._chance.randrange(1, 10 * cluster // 512) * 512, size // 2 // 512 * 512))

    # ---- what may be there ------------------------------------------------------------------------------------------

    def possible(self, done: int) -> list[Step]:
        """What the disk may hold, sector by sector, if the power fails after ``done`` events."""
        last = max(index for index, step in enumerate(self.steps) if step.durable and (step.end <= done or not index))
        steps = [step for step in self.steps[last:] if step is self.steps[last] or step.begin < done]
        contents = [step.content[:] for step in steps]
        for at, step in enumerate(steps):
            if step.through and step.end <= done:
                for content in contents[:at]:
                    part = slice(step.through.start, min(step.through.stop, len(content)))
                    content[part] = step.content[part]
        return [
            Step(step.begin, step.end, content, step.snapshots, step.durable)
            for step, content in zip(steps, contents, strict=True)
        ]


class Replay:
    """Lets the power fail at moments of a run, and looks at what is left.

    :param log: another one than the run's: that of somebody who does it wrongly.
    """

    def __init__(self, run: Run, judge: Judge, log: Log | None = None) -> None:
        self._run = run
        self._judge = judge
        self._log = log or run.log
        self._chance = Random(run.seed)
        self.cuts = 0

    def every_prefix(self) -> None:
        """The disk has everything until some event, for each event."""
        disk = Disk(self._log)
        self._look(disk, disk.everything())
        while disk.step():
            self._look(disk, disk.everything())

    def some_of_what_was_not_flushed(self, cuts: int) -> None:
        """The disk has what was flushed, and any part of the rest; ``cuts`` times, at moments all over the run."""
        moments = self._log.moments_of_choice()
        disk = Disk(self._log)
        for moment in sorted(self._chance.choices(moments, k=cuts)):
            while disk.done < moment:
                disk.step()
            self._look(disk, disk.chosen(self._chance))

    def _look(self, disk: Disk, contents: list[bytearray]) -> None:
        self.cuts += 1
        try:
            self._assert_sound(disk.done, contents)
        except Exception as error:
            event = self._log.events[disk.done - 1]
            happened = f"{event.kind} of {len(event.data) or event.length} bytes at {event.at:#x} of file {event.file}"
            raise AssertionError(
                f"seed {self._run.seed}, {self._run.shape}: after event {disk.done} of {len(self._log.events)} ({happened}): "
                f"{type(error).__name__}: {error}"
            ) from error

    def _assert_sound(self, done: int, contents: list[bytearray]) -> None:
        run = self._run
        files = run.files.left(contents)
        self._judge.assert_usable(files)
        possible = run.possible(done)
        thorough = self._chance.random() < 0.1
        opened = files.open()
        names = [one.name for one in opened.snapshots]
        assert names in [list(step.snapshots) for step in possible], f"snapshots {names}"
        found = bytes(opened.read(0, opened.size_bytes))
        states = [step.content for step in possible]
        assert_possible(found, states, bytewise="byte" in run.aligned)
        if thorough:
            snapshots = next(step.snapshots for step in possible if list(step.snapshots) == names)
            self._assert_it_can_go_on(files, Worker(opened, History(bytearray(found), dict(snapshots)), self._chance))

    def _assert_it_can_go_on(self, files: Files, worker: Worker) -> None:
        """Work goes on as if nothing had been, and each snapshot is still what it was."""
        for _ in range(3):
            worker.write(random_spot(self._chance), "write")
        worker.clear(random_spot(self._chance), "unmap")
        worker.flush()
        self._judge.assert_usable(files)
        worker.assert_content()
        for name, content in list(worker.history.snapshots.items()):
            if worker.revert(name):
                assert_same(worker.image.read(0, len(content)), content, f"snapshot {name}")
        worker.image.close()
        self._judge.assert_usable(files)
