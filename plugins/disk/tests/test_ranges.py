import logging
from collections.abc import Callable
from typing import cast

import pytest
from tgtcore_disk.ranges import Ranges

from tgtcore import Task


class Busy:
    """A task as far as range locks know one."""

    def __init__(self) -> None:
        self._told: list[Callable[[], None]] = []

    def when_ended(self, told: Callable[[], None]) -> None:
        self._told.append(told)

    def end(self) -> None:
        for told in self._told:
            told()


class Room:
    """Range locks, and who was run again."""

    def __init__(self) -> None:
        self.ranges = Ranges(self._again, lambda contended: None)
        self.again: list[Busy] = []
        self.defective: list[Busy] = []

    def _again(self, task: Task) -> None:
        busy = cast(Busy, task)
        self.again.append(busy)
        if busy in self.defective:
            raise ZeroDivisionError

    def busy(self, first: int, end: int, *, alone: bool = False) -> Busy:
        task = Busy()
        assert self.admit(task, first, end, alone=alone)
        self.ranges.hold(cast(Task, task), first, end, alone=alone)
        return task

    def admit(self, task: Busy, first: int, end: int, *, alone: bool = False) -> bool:
        return self.ranges.admit(cast(Task, task), first, end, alone=alone)


@pytest.fixture
def room() -> Room:
    return Room()


def test_shared_uses_do_not_exclude_each_other(room: Room) -> None:
    first = room.busy(0, 10)
    second = room.busy(5, 15)
    assert not room.ranges.contended
    first.end()
    second.end()
    assert len(room.ranges) == 0


def test_neighbours_are_no_overlap(room: Room) -> None:
    room.busy(0, 10, alone=True)
    assert room.admit(Busy(), 10, 20, alone=True)


def test_alone_waits_for_shared(room: Room) -> None:
    reader = room.busy(0, 10)
    writer = Busy()
    assert not room.admit(writer, 9, 12, alone=True)
    assert room.ranges.contended
    reader.end()
    assert room.again == [writer]
    assert room.admit(writer, 9, 12, alone=True)
    writer.end()
    assert not room.ranges.contended


def test_shared_waits_for_alone_and_all_go_on_together(room: Room) -> None:
    writer = room.busy(0, 10, alone=True)
    readers = [Busy(), Busy()]
    assert not any(room.admit(reader, 0, 4) for reader in readers)
    writer.end()
    assert room.again == readers


def test_nobody_overtakes_who_waits_for_the_same_blocks(room: Room) -> None:
    reader = room.busy(0, 10)
    writer, late = Busy(), Busy()
    assert not room.admit(writer, 0, 10, alone=True)
    assert not room.admit(late, 5, 6)
    assert room.admit(Busy(), 20, 30)
    reader.end()
    assert room.again == [writer]
    writer.end()
    assert room.again == [writer, late]


def test_a_task_that_holds_a_range_is_not_in_its_own_way(room: Room) -> None:
    task = room.busy(0, 10, alone=True)
    assert room.admit(task, 0, 10, alone=True)
    task.end()
    assert len(room.ranges) == 0


def test_a_defect_of_one_that_waits_is_logged_and_the_others_go_on(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    writer = room.busy(0, 10, alone=True)
    readers = [Busy(), Busy()]
    room.defective = readers[:1]
    assert not any(room.admit(reader, 0, 4) for reader in readers)
    writer.end()
    assert room.again == readers
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info
    for reader in readers:
        reader.end()
    assert len(room.ranges) == 0
