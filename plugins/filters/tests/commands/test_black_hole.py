from typing import Any

from tgtcore_filters.commands.black_hole import BlackHole, Release
from tgtcore_filters.commands.choice import ChoiceOptions

from tgtcore import TaskState, Tmf, TmfRequest, manage
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Initiator

READ, WRITE = "28 00 00000010 00 0001", "2a 00 00000010 00 0001"


def used(unit: Any, **keys: Any) -> BlackHole:
    hole = BlackHole(ChoiceOptions(**keys))
    unit.use(hole)
    return hole


def test_a_command_is_not_answered_before_it_is_released(unit: Any, initiator: Initiator) -> None:
    hole = used(unit, commands="WRITE")
    task = initiator.start(WRITE, b"x" * 512)
    for _ in range(20):
        assert initiator.execute(READ).data == bytes(512)
    assert task.state is TaskState.HELD
    assert hole.release(Release()) == {"released": 1, "held": 0}
    assert initiator.finish(task).status is Status.GOOD
    assert initiator.execute(READ).data == b"x" * 512


def test_the_oldest_goes_first(unit: Any, initiator: Initiator) -> None:
    hole = used(unit)
    tasks = [initiator.start(WRITE, bytes((number,)) * 512) for number in range(1, 6)]
    assert hole.release(Release(count=2)) == {"released": 2, "held": 3}
    unit.run_until(lambda: tasks[1].state is TaskState.ENDED)
    assert [task.state for task in tasks[2:]] == [TaskState.HELD] * 3
    assert hole.release(Release(count=99)) == {"released": 3, "held": 0}
    assert initiator.finish(tasks[4]).status is Status.GOOD
    assert hole.release(Release()) == {"released": 0, "held": 0}


def test_an_aborted_one_is_held_no_longer(unit: Any, initiator: Initiator) -> None:
    hole = used(unit)
    tasks = [initiator.start(READ, data_in=512) for _ in range(3)]
    answers: list[Any] = []
    manage(initiator.nexus, TmfRequest(Tmf.ABORT_TASK, 0, tasks[0].tag), answers.append)
    unit.run_until(lambda: answers)
    assert tasks[0].state is TaskState.ENDED
    assert hole.held == tuple(tasks[1:])
    assert hole.figures()["held"] == 2


def test_figures(unit: Any, initiator: Initiator) -> None:
    hole = used(unit, commands="READ", first=2)
    assert hole.figures() == {"matched": 0, "chosen": 0, "held": 0, "oldest_s": 0}
    initiator.execute(READ)
    initiator.start(READ, data_in=512)
    figures = hole.figures()
    assert figures["oldest_s"] >= 0
    assert {**figures, "oldest_s": 0} == {"matched": 2, "chosen": 1, "held": 1, "oldest_s": 0}
