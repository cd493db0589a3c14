"""Task management functions with tasks in every state, and what they leave behind."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.slow import Slow, slow_bench, slow_of

from tgtcore.nexus import Tmf, TmfRequest, TmfResponse, manage
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.task import Attribute, State
from tgtcore.testing.initiator import Bench, Initiator

READY, RESERVE, MODE_SENSE = "00", "16", "1a 08 0a 00 ff"
NEXUS_LOSS = (SenseKey.UNIT_ATTENTION, *asc.I_T_NEXUS_LOSS_OCCURRED)


@pytest.fixture
def made() -> Iterator[Bench]:
    with slow_bench() as made:
        yield made


@pytest.fixture
def slow(made: Bench) -> Slow:
    return slow_of(made)


@pytest.fixture
def initiator(made: Bench) -> Initiator:
    return made.initiator()


@pytest.fixture
def other(made: Bench) -> Initiator:
    return made.initiator("iqn.2025-01.example:other", port=1)


def request(initiator: Initiator, function: Tmf, *, lun: int = 0, tag: int = 0) -> list[TmfResponse]:
    answers: list[TmfResponse] = []
    manage(initiator.nexus, TmfRequest(function, lun, tag), answers.append)
    return answers


def end(slow: Slow) -> None:
    while slow.started:
        slow.started.pop(0).finish(Status.GOOD, b"")


def test_a_nexus_reset_is_a_loss_of_that_nexus(slow: Slow, initiator: Initiator, other: Initiator) -> None:
    itl = initiator.nexus.itl(0)
    assert itl is not None
    initiator.execute(RESERVE)
    itl.prevents_removal = True
    assert other.execute(MODE_SENSE).status is Status.RESERVATION_CONFLICT
    task = initiator.start(READY)
    answers = request(initiator, Tmf.I_T_NEXUS_RESET)
    assert answers == []
    end(slow)
    assert answers == [TmfResponse.FUNCTION_COMPLETE]
    assert task.result is None
    assert slow.lost == [initiator.nexus]
    assert not itl.prevents_removal
    assert other.execute(MODE_SENSE).status is Status.GOOD
    assert initiator.execute(READY).code == NEXUS_LOSS


def test_a_target_reset_ends_what_its_nexus_still_has_under_a_withdrawn_lun(
    made: Bench, slow: Slow, initiator: Initiator, other: Initiator
) -> None:
    """Its answer says that no response follows; tasks of others under that LUN are beyond its reach."""
    task, others = initiator.start(READY), other.start(READY)
    made.target.hide(0, made.target.luns)
    answers = request(initiator, Tmf.TARGET_RESET)
    assert answers == []
    slow.started.pop(0).finish(Status.GOOD, b"")
    assert answers == [TmfResponse.FUNCTION_COMPLETE]
    assert task.result is None
    end(slow)
    assert others.result is not None
    assert others.result.status is Status.GOOD


@pytest.mark.parametrize("function", [Tmf.ABORT_TASK, Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET, Tmf.LOGICAL_UNIT_RESET])
def test_a_function_means_the_lun_whatever_has_taken_its_place(
    made: Bench, slow: Slow, initiator: Initiator, function: Tmf
) -> None:
    """Another logical unit is there now; the answer still says that no response of the old one follows."""
    task = initiator.start(READY)
    made.target.unmap(0, lambda: None)
    made.add(Slow, lun=0)
    answers = request(initiator, function, tag=task.tag)
    assert answers == []
    slow.started.pop(0).finish(Status.GOOD, b"")
    assert answers == [TmfResponse.FUNCTION_COMPLETE]


def test_a_nexus_reset_is_answered_although_a_device_type_fails(
    slow: Slow, initiator: Initiator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(nexus: Any) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(slow, "nexus_lost", fail)
    assert request(initiator, Tmf.I_T_NEXUS_RESET) == [TmfResponse.FUNCTION_COMPLETE]
    assert initiator.execute(READY).code == NEXUS_LOSS
    assert "nexus_lost() of its device type failed" in caplog.text


def test_aborting_one_task_leaves_the_others(slow: Slow, initiator: Initiator) -> None:
    running, ordered, waiting = initiator.start(READY), initiator.start(READY, attribute=2), initiator.start(MODE_SENSE)
    assert waiting.state is State.DORMANT
    assert request(initiator, Tmf.ABORT_TASK, tag=ordered.tag) == [TmfResponse.FUNCTION_COMPLETE]
    assert initiator.finish(waiting).status is Status.GOOD
    end(slow)
    assert initiator.finish(running).status is Status.GOOD
    assert request(initiator, Tmf.ABORT_TASK, tag=running.tag) == [TmfResponse.TASK_DOES_NOT_EXIST]


def test_a_task_of_another_nexus_cannot_be_aborted(slow: Slow, initiator: Initiator, other: Initiator) -> None:
    task = other.start(READY)
    assert request(initiator, Tmf.ABORT_TASK, tag=task.tag) == [TmfResponse.TASK_DOES_NOT_EXIST]
    assert request(initiator, Tmf.ABORT_TASK_SET) == [TmfResponse.FUNCTION_COMPLETE]
    end(slow)
    assert other.finish(task).status is Status.GOOD


@pytest.mark.parametrize("function", [Tmf.ABORT_TASK_SET, Tmf.CLEAR_TASK_SET])
def test_each_nexus_has_a_task_set_of_its_own(
    slow: Slow, initiator: Initiator, other: Initiator, function: Tmf
) -> None:
    own, dormant = initiator.start(READY), initiator.start(READY, attribute=Attribute.ORDERED)
    others = other.start(READY, attribute=Attribute.ORDERED)
    answers = request(initiator, function)
    assert others.state is State.RUNNING
    assert dormant.state is State.ENDED
    end(slow)
    assert answers == [TmfResponse.FUNCTION_COMPLETE]
    assert own.result is dormant.result is None
    assert other.finish(others).status is Status.GOOD
    assert other.execute("1d").status is Status.GOOD


@pytest.mark.parametrize("attribute", [Attribute.ORDERED, Attribute.HEAD_OF_QUEUE])
def test_who_is_silent_holds_up_nobody_else(initiator: Initiator, other: Initiator, attribute: Attribute) -> None:
    silent = initiator.start("15 10 00 00 ff", bytes(255), attribute=attribute, held=True)
    assert silent.state is State.DATA
    assert initiator.start(MODE_SENSE).state is State.DORMANT
    for theirs in Attribute.SIMPLE, Attribute.ORDERED:
        assert other.execute(MODE_SENSE, attribute=theirs).status is Status.GOOD
    assert request(initiator, Tmf.ABORT_TASK_SET) == [TmfResponse.FUNCTION_COMPLETE]


def test_a_reset_during_a_reset(slow: Slow, initiator: Initiator, other: Initiator) -> None:
    initiator.start(READY)
    other.start(READY)
    first, second = request(initiator, Tmf.LOGICAL_UNIT_RESET), request(other, Tmf.LOGICAL_UNIT_RESET)
    slow.started.pop().finish(Status.GOOD, b"")
    assert first == second == []
    end(slow)
    assert first == second == [TmfResponse.FUNCTION_COMPLETE]


def test_questions(slow: Slow, initiator: Initiator, other: Initiator) -> None:
    none, some = [TmfResponse.FUNCTION_COMPLETE], [TmfResponse.FUNCTION_SUCCEEDED]
    assert request(initiator, Tmf.QUERY_TASK_SET) == none
    task = initiator.start(READY)
    assert request(initiator, Tmf.QUERY_TASK, tag=task.tag) == some
    assert request(initiator, Tmf.QUERY_TASK, tag=task.tag + 1) == none
    assert request(initiator, Tmf.QUERY_TASK_SET) == some
    assert request(other, Tmf.QUERY_TASK_SET) == none
    assert request(initiator, Tmf.QUERY_ASYNCHRONOUS_EVENT) == none
    slow.lu.attention(asc.MODE_PARAMETERS_CHANGED)
    assert request(initiator, Tmf.QUERY_ASYNCHRONOUS_EVENT) == some
    end(slow)


def test_what_is_not_there(initiator: Initiator) -> None:
    assert request(initiator, Tmf.CLEAR_ACA) == [TmfResponse.FUNCTION_REJECTED]
    for function in (Tmf.ABORT_TASK_SET, Tmf.LOGICAL_UNIT_RESET, Tmf.QUERY_TASK):
        assert request(initiator, function, lun=7 << 48) == [TmfResponse.INCORRECT_LOGICAL_UNIT_NUMBER]
