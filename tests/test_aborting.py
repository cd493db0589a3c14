from collections.abc import Iterator
from typing import Any

import pytest
from support.slow import Slow, slow_bench, slow_of

from tgtcore.aborting import abort_all, in_silence
from tgtcore.nexus import Tmf, TmfRequest, TmfResponse, manage
from tgtcore.scsi.status import Status
from tgtcore.task import Attribute, State
from tgtcore.testing.initiator import Bench, Initiator, MemoryTask


@pytest.fixture
def made() -> Iterator[Bench]:
    with slow_bench() as made:
        yield made


@pytest.fixture
def slow(made: Bench) -> Slow:
    return slow_of(made)


def told() -> tuple[list[bool], Any]:
    answers: list[bool] = []
    return answers, lambda *_: answers.append(True)


def test_nothing_to_abort_is_over_at_once() -> None:
    answers, then = told()
    abort_all([], in_silence, then)
    assert answers == [True]


def test_it_is_over_when_the_last_task_has_ended(made: Bench, slow: Slow) -> None:
    initiator = made.initiator()
    tasks = [initiator.start("00") for _ in range(3)]
    answers, then = told()
    abort_all(tasks, in_silence, then)
    for task in slow.started:
        assert answers == []
        task.finish(Status.GOOD, b"")
    assert answers == [True]
    assert [task.result for task in tasks] == [None] * 3


@pytest.mark.parametrize("first", [Attribute.SIMPLE, Attribute.ORDERED, Attribute.HEAD_OF_QUEUE])
def test_no_abort_lets_another_aborted_task_start(made: Bench, slow: Slow, first: Attribute) -> None:
    initiator = made.initiator()
    data = MemoryTask(initiator.nexus, 0, 900, first, bytes.fromhex("15100000ff").ljust(16, b"\0"), bytes(255), 0)
    data.held = True
    initiator.nexus.submit(data)
    assert data.state is State.DATA
    waiting = [initiator.start("00", attribute=attribute) for attribute in (Attribute.ORDERED, 1, 1, Attribute.ORDERED)]
    assert all(task.state is State.DORMANT for task in waiting)
    answers, then = told()
    abort_all([data, *waiting], in_silence, then)
    assert answers == [True]
    assert slow.started == []
    assert [len(itl.task_set) for itl in made.lus[0].itls] == [0]


def test_a_reset_aborts_and_tells_other_nexuses_only_with_tas(made: Bench, slow: Slow) -> None:
    first, second = made.initiator(), made.initiator("iqn.2025-01.example:other")
    for tas in (False, True):
        made.lus[0].task_aborted_status = tas
        own, others = first.start("00"), second.start("00")
        answers: list[TmfResponse] = []
        manage(first.nexus, TmfRequest(Tmf.LOGICAL_UNIT_RESET), answers.append)
        assert answers == []
        while slow.started:
            slow.started.pop().finish(Status.GOOD, b"")
        assert answers == [TmfResponse.FUNCTION_COMPLETE]
        assert own.result is None
        assert (others.result is not None and others.result.status is Status.TASK_ABORTED) is tas
        _clear(first, second)


def _clear(*initiators: Initiator) -> None:
    for initiator in initiators:
        for itl in initiator.nexus.itls.values():
            itl.attentions = ()


def test_a_nexus_closes_when_its_last_task_has_ended(made: Bench, slow: Slow) -> None:
    initiator = made.initiator()
    task = initiator.start("00")
    answers, then = told()
    initiator.nexus.close(then)
    assert answers == []
    slow.started[0].finish(Status.GOOD, b"")
    assert answers == [True]
    assert task.result is None
    assert made.target.nexuses == []


@pytest.mark.parametrize("tas", [False, True])
def test_a_lun_goes_away_when_its_last_task_has_ended(made: Bench, slow: Slow, tas: bool) -> None:
    slow.lu.task_aborted_status = tas
    initiator = made.initiator()
    task = initiator.start("00")
    answers, then = told()
    made.target.unmap(0, then)
    assert answers == []
    assert initiator.execute("12 00 00 00 24").data[0] == 0x7F
    slow.started[0].finish(Status.GOOD, b"")
    assert answers == [True]
    assert (task.result is not None and task.result.status is Status.TASK_ABORTED) is tas
    assert not made.lus[0].itls
