"""The only end of a task."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from support.slow import slow_bench

from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey, parse_sense
from tgtcore.scsi.status import Status
from tgtcore.task import PENDING, Attribute, State, Task
from tgtcore.testing.initiator import Bench, Initiator, MemoryTask

INQUIRY, MODE_SELECT = "12 00 00 00 24 00", "15 10 00 00 04 00"


@pytest.fixture
def made() -> Iterator[Bench]:
    with slow_bench() as made:
        yield made


@pytest.fixture
def initiator(made: Bench) -> Initiator:
    return made.initiator()


def test_a_task_ends_once(initiator: Initiator) -> None:
    task = initiator.start("00")
    task.complete()
    with pytest.raises(AssertionError, match="was ended twice"):
        task.complete()


def test_data_in_that_can_not_be_read_any_more_is_a_medium_error(initiator: Initiator) -> None:
    task = initiator.start("00")
    task.complete(b"data")
    assert (task.status, task.data_in) == (Status.GOOD, b"data")
    task.lose_data_in()
    sense = parse_sense(task.sense)
    assert (task.status, task.data_in) == (Status.CHECK_CONDITION, None)
    assert (sense.key, sense.code) == (SenseKey.MEDIUM_ERROR, asc.UNRECOVERED_READ_ERROR)


def test_who_waits_for_the_end_is_told_even_if_the_transport_fails(
    initiator: Initiator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(task: MemoryTask) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(MemoryTask, "done", fail)
    task = initiator.start("00")
    told: list[State] = []
    task.when_ended(lambda: told.append(task.state))
    with pytest.raises(ZeroDivisionError):
        task.complete()
    assert told == [State.ENDED]


def test_everyone_who_waits_for_the_end_is_told(initiator: Initiator, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError("inside")

    task = initiator.start("00")
    told: list[bool] = []
    task.when_ended(fail)
    task.when_ended(lambda: told.append(True))
    task.complete()
    assert told == [True]
    assert "who waited for that failed" in caplog.messages[-1]


def test_a_check_that_fails_inside_ends_the_task(
    initiator: Initiator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    itl = initiator.nexus.itl(0)
    assert itl is not None

    class Broken:
        def find(self, cdb: bytes) -> None:
            raise ZeroDivisionError("inside")

    monkeypatch.setattr(itl, "commands", Broken())
    with caplog.at_level(logging.ERROR):
        result = initiator.execute("00")
    assert result.code == (SenseKey.HARDWARE_ERROR, *asc.INTERNAL_TARGET_FAILURE)
    assert itl.lu.missing == 0
    assert itl.lu.tasks() == []


def test_a_task_is_answered_before_those_that_waited_for_it_start(
    initiator: Initiator, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[tuple[int, bool, bool]] = []

    def done(task: MemoryTask) -> None:
        itl = task.itl
        assert itl is not None
        answered.append((task.tag, task.tag in initiator.nexus.tasks, task in itl.lu.leases))

    monkeypatch.setattr(MemoryTask, "done", done)
    first = initiator.start("00")
    waiting = [initiator.start(INQUIRY, data_in=36, attribute=Attribute.ORDERED) for _ in range(2)]
    first.complete()
    assert answered == [(task.tag, False, False) for task in (first, *waiting)]


@pytest.mark.parametrize("broken", ["done", "want_data"])
def test_what_fails_at_a_task_that_waited_is_its_own(
    initiator: Initiator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    first = initiator.start("00")
    second = initiator.start(MODE_SELECT, bytes(4), attribute=Attribute.ORDERED)
    third = initiator.start(INQUIRY, data_in=36, attribute=Attribute.ORDERED)

    def fail() -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(second, broken, fail)
    first.complete()
    assert first.result is not None
    assert third.result is not None
    assert second.state is State.ENDED
    assert (initiator.nexus.tasks, len(initiator.nexus.leases)) == ({}, 0)
    assert "inside" in caplog.text


def test_a_task_that_had_to_wait_is_run_again(initiator: Initiator, monkeypatch: pytest.MonkeyPatch) -> None:
    itl = initiator.nexus.itl(0)
    assert itl is not None
    runs: list[Task] = []

    def handler(device: Any, task: Task) -> Any:
        assert device is itl.lu.device
        runs.append(task)
        return PENDING if len(runs) == 1 else None

    monkeypatch.setattr(itl.commands.find(bytes(16)), "handler", handler)
    task = initiator.start("00")
    assert task.state is State.RUNNING
    task.run_again()
    assert (task.state, runs) == (State.ENDED, [task, task])
