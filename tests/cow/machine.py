"""The stateful machine: whatever is done to an image, it holds what the model holds, and its judge finds nothing wrong with it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import ClassVar

from cow.history import History, assert_same
from cow.judges import Judge
from cow.operations import CLEARS, WRITES, Spot, Worker, spots
from cow.recording import Disk, Log
from cow.shapes import Files, Shape, shapes
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tgtcore_cow.qcow2 import leftovers

_NAMES = ("snapshot {}", "{}", "Schnappschuß {}", "many words, {} of them: " + "word " * 20 + ".")
_SNAPSHOTS_MAX = 5
_ENTRIES_AT_ONCE = leftovers.ENTRIES_AT_ONCE


class ImageMachine(RuleBasedStateMachine):
    """Random work on an image of any kind; a subclass says who judges."""

    judge: ClassVar[Judge]

    files: Files
    log: Log
    worker: Worker
    leaks = False
    """Whether the image was not closed: leaks are no defect then."""
    made = 0

    @initialize(
        shape=shapes(),
        always_flushed=st.booleans(),
        seed=st.integers(0, 1 << 32),
        at_once=st.sampled_from((_ENTRIES_AT_ONCE, 16)),
    )
    def make(self, shape: Shape, always_flushed: bool, seed: int, at_once: int) -> None:
        leftovers.ENTRIES_AT_ONCE = at_once
        files = Files.make(shape)
        self.judge.assert_clean(files)
        self.always_flushed = always_flushed
        self._record(files)
        self.worker = Worker(self.files.open(), History(bytearray(files.content)), Random(seed))

    def _record(self, files: Files) -> None:
        self.log = Log()
        self.files = files.recorded(self.log)

    @property
    def names(self) -> list[str]:
        return list(self.worker.history.snapshots)

    # ---- what is done -----------------------------------------------------------------------------------------------

    @rule(spot=spots, how=st.sampled_from(WRITES))
    def write(self, spot: Spot, how: str) -> None:
        self.worker.write(spot, how)

    @rule(spot=spots, how=st.sampled_from(tuple(CLEARS)))
    def clear(self, spot: Spot, how: str) -> None:
        if CLEARS[how] in self.worker.image.features():
            self.worker.clear(spot, how)

    @precondition(lambda self: self.files.shape.can_have_snapshots and len(self.names) < _SNAPSHOTS_MAX)
    @rule(form=st.sampled_from(_NAMES))
    def create_snapshot(self, form: str) -> None:
        self.made += 1
        self.worker.create_snapshot(form.format(self.made))

    @precondition(lambda self: self.names)
    @rule(number=st.integers(0, _SNAPSHOTS_MAX))
    def revert(self, number: int) -> None:
        self.worker.revert(self.names[number % len(self.names)])

    @precondition(lambda self: self.names)
    @rule(number=st.integers(0, _SNAPSHOTS_MAX))
    def delete_snapshot(self, number: int) -> None:
        self.worker.delete_snapshot(self.names[number % len(self.names)])

    @precondition(lambda self: self.names)
    @rule(number=st.integers(0, _SNAPSHOTS_MAX))
    def clone(self, number: int) -> None:
        name = self.names[number % len(self.names)]
        copy = self.files.clone(self.worker.image, name)
        self.judge.assert_clean(copy)
        self.judge.assert_content(copy, self.worker.history.snapshots[name])

    @precondition(lambda self: self.worker.image.header.backing_file and not self.names)
    @rule()
    def commit(self) -> None:
        with self._closed():
            self.files.commit()

    @precondition(lambda self: self.files.shape.data_file != "raw" and not self.names)
    @rule(sectors=st.integers(0, 400))
    def rebase(self, sectors: int) -> None:
        with self._closed():
            self.files.rebase(Random(sectors).randbytes(sectors * 512) if sectors else None)

    @contextmanager
    def _closed(self) -> Iterator[None]:
        """There is room, and nobody has the image."""
        self.make_room()
        self.flush()
        self.worker.image.close()
        yield
        self._assert_flushed()
        self.worker.image = self.files.open()

    @rule(clusters=st.integers(0, 70), sectors=st.integers(1, 40))
    def grow(self, clusters: int, sectors: int) -> None:
        size_bytes = self.worker.image.size_bytes
        if size_bytes < 4 << 20:
            self.worker.resize(size_bytes + clusters % 9 * self.files.shape.cluster_bytes + sectors * 512)

    @rule(sectors=st.integers(0, 4096))
    def shrink(self, sectors: int) -> None:
        self.worker.resize(max(self.worker.image.size_bytes - sectors * 512, 512))

    @rule()
    def flush(self) -> None:
        try:
            self.worker.flush()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self.make_room()
            self.worker.flush()
        self._assert_flushed()

    @rule()
    def reopen(self) -> None:
        self.flush()
        self.worker.image.close()
        self.worker.history.durable()
        self._assert_flushed()
        self.worker.image = self.files.open()

    @rule()
    def kill(self) -> None:
        """What was written to the files is there; what was in memory is not."""
        self._go_on_with(self.files.copy())

    @rule(seed=st.integers(0, 1 << 32))
    def power_cut(self, seed: int) -> None:
        """What was flushed is there, and any part of the rest of what was written to the files."""
        self._go_on_with(self.files.left(Disk.after(self.log).chosen(Random(seed))), bytewise=True)

    def _go_on_with(self, files: Files, *, bytewise: bool = False) -> None:
        self._record(files)
        self.leaks = True
        self.worker.image = self.files.open()
        content = bytes(self.worker.image.read(0, self.worker.image.size_bytes))
        self.worker.history.found(content, bytewise=bytewise)

    @precondition(lambda self: self.leaks)
    @rule()
    def give_leaks_back(self) -> None:
        self.flush()
        self.worker.image.close()
        self.judge.give_leaks_back(self.files)
        self.leaks = False
        self._assert_flushed()
        self.worker.image = self.files.open()

    @rule(bytes_left=st.integers(0, 1 << 16))
    def use_up_room(self, bytes_left: int) -> None:
        """The file can't become much longer, until there is room again."""
        self.files.image.room_bytes = len(self.files.image.content) + bytes_left

    @rule()
    def make_room(self) -> None:
        self.files.image.room_bytes = 1 << 40

    # ---- what must be true ------------------------------------------------------------------------------------------

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        self.worker.assert_content()
        self.worker.assert_extents()

    @invariant()
    def is_sound(self) -> None:
        self.judge.assert_usable(self.files)
        if self.always_flushed:
            self.flush()

    def _assert_flushed(self) -> None:
        if self.leaks:
            self.judge.assert_usable(self.files)
        else:
            self.judge.assert_clean(self.files)
        content = bytes(self.worker.history.content)
        self.judge.assert_content(self.files, content)
        for name, snapshot in self.worker.history.snapshots.items():
            self.judge.assert_snapshot(self.files, name, snapshot)

    def teardown(self) -> None:
        """Each snapshot is still what it was."""
        leftovers.ENTRIES_AT_ONCE = _ENTRIES_AT_ONCE
        if not hasattr(self, "worker"):
            return
        self.make_room()
        for name, content in list(self.worker.history.snapshots.items()):
            if self.worker.revert(name):
                assert_same(self.worker.image.read(0, len(content)), content, f"snapshot {name}")
        self.worker.image.close()
        (self.judge.assert_usable if self.leaks else self.judge.assert_clean)(self.files)
