"""Task management, and in which order everything is answered."""

import logging
from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import ResponseCode
from tgtcore_srp.iu.opcodes import TaskManagementFunction as Function

from tgtcore.scsi.status import Status
from tgtcore.testing.host import HELD, READY, content, read, write

if TYPE_CHECKING:
    from conftest import Bench

ABORTING = [Function.ABORT_TASK, Function.ABORT_TASK_SET, Function.CLEAR_TASK_SET, Function.LOGICAL_UNIT_RESET]


@pytest.mark.parametrize("function", ABORTING)
def test_an_aborted_command_gives_its_credit_back_with_the_function(bench: "Bench", function: Function) -> None:
    """It gets no answer; the function is not answered before it has ended."""
    peer = bench.session()
    peer.command(1, HELD)
    peer.function(2, function, task_tag=1)
    assert peer.receive() == []
    bench.device().release()
    answer = peer.answer()
    assert (answer.tag, answer.delta, answer.code) == (2, 2, ResponseCode.COMPLETE)
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("function", ABORTING)
@pytest.mark.parametrize("ok", [False, True])
def test_a_command_whose_data_is_on_its_way_is_answered_first(bench: "Bench", function: Function, ok: bool) -> None:
    """The initiator's memory is in use until then, so the function must not be answered before either."""
    peer = bench.session()
    peer.fabric.moves = None
    peer.command(1, read(64), room=64)
    peer.function(2, function, task_tag=1)
    assert peer.receive() == []
    peer.fabric.move(ok)
    first, second = peer.answers()
    assert (first.tag, first.status, first.delta) == (1, Status.GOOD if ok else Status.CHECK_CONDITION, 1)
    assert (second.tag, second.code, second.delta) == (2, ResponseCode.COMPLETE, 1)
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("function", ABORTING)
@pytest.mark.parametrize("ok", [False, True])
def test_a_command_that_is_aborted_while_it_gets_its_data(bench: "Bench", function: Function, ok: bool) -> None:
    """Its buffers and its slot are in use until the fabric has said so; it has no effect."""
    peer = bench.session()
    peer.fabric.moves = None
    peer.command(1, write(64), content(64))
    peer.function(2, function, task_tag=1)
    assert peer.receive() == []
    assert (peer.channel.slots.used, bench.memory.data_bytes) == (2, 64)
    peer.fabric.move(ok)
    answer = peer.answer()
    assert (answer.tag, answer.code, answer.delta) == (2, ResponseCode.COMPLETE, 2)
    assert bench.device().written == b""
    bench.assert_at_rest()
    bench.end()


def test_only_what_a_function_has_to_do_with_is_waited_for(bench: "Bench") -> None:
    peer = bench.session()
    peer.fabric.moves = None
    peer.command(1, read(64), room=64)
    peer.command(2, HELD)
    peer.function(3, Function.ABORT_TASK, task_tag=2)
    bench.device().release()
    assert [(one.tag, one.delta) for one in peer.answers()] == [(3, 2)]
    peer.fabric.move()
    assert peer.answer().tag == 1
    bench.assert_at_rest()
    bench.end()


def test_a_function_waits_for_all_that_move(bench: "Bench") -> None:
    peer = bench.session()
    peer.fabric.moves = None
    for tag in range(3):
        peer.command(tag, read(64), room=64, at=tag * 64)
    peer.function(3, Function.LOGICAL_UNIT_RESET)
    peer.fabric.move(at=1)
    peer.fabric.move(at=0)
    assert [one.tag for one in peer.answers()] == [1, 0]
    peer.fabric.move()
    assert [one.tag for one in peer.answers()] == [2, 3]
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize(
    ("function", "lun", "code"),
    [
        (Function.ABORT_TASK, 0, ResponseCode.COMPLETE),
        (Function.CLEAR_ACA, 0, ResponseCode.NOT_SUPPORTED),
        (0x77, 0, ResponseCode.NOT_SUPPORTED),
        (Function.LOGICAL_UNIT_RESET, 7 << 48, ResponseCode.FAILED),
    ],
)
def test_what_there_is_nothing_to_do_for(bench: "Bench", function: int, lun: int, code: ResponseCode) -> None:
    peer = bench.session()
    peer.function(2, function, task_tag=55, lun=lun)
    answer = peer.answer()
    assert (answer.tag, answer.code, answer.delta, answer.sense) == (2, code, 1, b"")
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize(("solicited", "function", "notice"), [(2, Function.CLEAR_ACA, 0), (4, Function.CLEAR_ACA, 1)])
def test_solicited_notifications(bench: "Bench", solicited: int, function: Function, notice: int) -> None:
    peer = bench.session()
    peer.function(2, function, solicited=solicited)
    assert peer.answer().solicited == notice
    bench.end()


def test_a_malformed_request_is_answered(bench: "Bench") -> None:
    peer = bench.session()
    peer.request(TaskManagement(9, 0, Function.ABORT_TASK).build()[:47])
    answer = peer.answer()
    assert (answer.tag, answer.code, answer.delta) == (9, ResponseCode.REQUEST_FIELDS_INVALID, 1)
    bench.assert_at_rest()
    bench.end()


def test_one_request_too_many(bench: "Bench") -> None:
    peer = bench.session(limit=4)
    for tag in range(4):
        peer.command(tag, HELD)
    peer.function(4, Function.ABORT_TASK, task_tag=1)
    answer = peer.answer()
    assert (answer.tag, answer.code, answer.delta) == (4, ResponseCode.FAILED, 0)
    assert peer.fabric.disconnected
    bench.end()


def test_a_command_that_another_initiator_has_aborted(bench: "Bench") -> None:
    """Without TAS nobody is told; the credit comes back with the next answer."""
    bench.host.lus[0].task_aborted_status = False
    first, second = bench.session(1), bench.session(2)
    first.command(1, HELD)
    second.function(1, Function.LOGICAL_UNIT_RESET)
    bench.device().release()
    assert second.answer().code == ResponseCode.COMPLETE
    assert first.receive() == []
    first.command(2, READY)
    assert first.answer().delta == 2
    bench.assert_at_rest()
    bench.end()


@pytest.mark.parametrize("ok", [False, True])
def test_a_command_that_another_initiator_has_aborted_while_it_gets_its_data(bench: "Bench", ok: bool) -> None:
    """With TAS it is told so once, and not before the fabric has done with its buffers and its slot."""
    first, second = bench.session(1), bench.session(2)
    first.fabric.moves = None
    first.command(1, write(64), content(64))
    second.function(1, Function.LOGICAL_UNIT_RESET)
    assert second.answer().code == ResponseCode.COMPLETE
    assert first.receive() == []
    assert (first.channel.slots.used, bench.memory.data_bytes) == (1, 64)
    first.fabric.move(ok)
    answer = first.answer()
    assert (answer.tag, answer.status, answer.delta) == (1, Status.TASK_ABORTED, 1)
    assert bench.device().written == b""
    bench.assert_at_rest()
    bench.end()


def test_who_has_lost_most_credits_is_told_where_that_is_possible(bench: "Bench") -> None:
    """Without an answer to carry them, a request of the target does."""
    bench.host.lus[0].task_aborted_status = False
    first, second = bench.session(1, limit=4, may_request=True), bench.session(2)
    for tag in range(4):
        first.command(tag, HELD)
    second.function(1, Function.LOGICAL_UNIT_RESET)
    bench.device().release()
    assert second.answer().code == ResponseCode.COMPLETE
    assert first.credits == 0
    first.receive()
    assert first.credits > 0
    bench.end()


def test_who_aborts_again_and_again_fills_no_log(bench: "Bench", caplog: pytest.LogCaptureFixture) -> None:
    peer = bench.session()
    caplog.set_level(logging.INFO)
    for tag in range(160):
        peer.function(tag, Function.ABORT_TASK, task_tag=999)
        assert peer.answer().code == ResponseCode.COMPLETE
    said = [record for record in caplog.records if record.name == "tgtcore_srp.task_management"]
    assert len(said) == 100
    assert said[-1].message.endswith(": ABORT TASK; more of this is not logged")
    bench.end()
