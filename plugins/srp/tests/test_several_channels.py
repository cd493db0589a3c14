"""Task management in a session with several channels, each of which may overtake the others."""

from typing import TYPE_CHECKING

import pytest
from tgtcore_srp.iu.login import LoginResponse
from tgtcore_srp.iu.opcodes import MultiChannelAction as Action
from tgtcore_srp.iu.opcodes import ResponseCode
from tgtcore_srp.iu.opcodes import TaskManagementFunction as Function
from tgtcore_srp.iu.others import CreditRequest, CreditResponse

from tgtcore.testing.host import HELD, READY, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Bench, Peer


@pytest.fixture
def bench(make_bench: "Callable[..., Bench]") -> "Bench":
    return make_bench(channels_max=3)


def channels(bench: "Bench", count: int = 2, limit: int = 8, may_request: bool = False) -> "list[Peer]":
    """So many channels of one session."""
    peers = [bench.peer(limit=limit, may_request=may_request) for _ in range(count)]
    for peer in peers:
        assert isinstance(peer.log_in(flags=Action.MULTI), LoginResponse)
    return peers


@pytest.mark.parametrize("loses", [False, True])
def test_a_function_is_answered_when_the_answers_of_all_channels_are_there(bench: "Bench", loses: bool) -> None:
    """Else a late answer would be taken for that of another command, which has the tag by then."""
    first, second = channels(bench)
    second.fabric.accepts_at_once = False
    second.command(7, READY)
    first.function(1, Function.LOGICAL_UNIT_RESET)
    assert first.receive() == []
    if loses:
        second.fabric.lose()
    else:
        second.fabric.accept()
        assert second.answer().tag == 7
    assert (first.answer().tag, first.credits) == (1, 8)
    bench.end()


def test_data_of_another_channel_is_waited_for_and_then_its_answer(bench: "Bench") -> None:
    first, second = channels(bench)
    second.fabric.moves = None
    second.fabric.accepts_at_once = False
    second.command(7, read(64), room=64)
    first.function(1, Function.ABORT_TASK, task_tag=7)
    second.fabric.move()
    assert first.receive() == []
    second.fabric.accept()
    assert (second.answer().tag, first.answer().tag) == (7, 1)
    bench.assert_at_rest()
    bench.end()


def test_credits_of_another_channel_do_not_come_back_before_the_answer_to_the_function(bench: "Bench") -> None:
    """For the initiator its commands go on until then."""
    first, second, third = channels(bench, 3, limit=4, may_request=True)
    third.fabric.accepts_at_once = False
    third.command(9, READY)
    for tag in range(4):
        second.command(tag, HELD)
    first.function(1, Function.LOGICAL_UNIT_RESET)
    bench.device().release()
    assert (first.receive(), second.receive(), second.credits) == ([], [], 0)
    third.fabric.accept()
    assert (first.answer().code, third.answer().tag) == (ResponseCode.COMPLETE, 9)
    assert second.receive() == [CreditRequest(1, 4)]
    assert second.credits == 4
    second.send(CreditResponse(1).build())
    bench.assert_at_rest()
    bench.end()


def test_a_channel_with_credits_left_gets_those_of_aborted_commands_with_its_next_answer(bench: "Bench") -> None:
    first, second = channels(bench)
    second.command(1, HELD)
    first.function(1, Function.LOGICAL_UNIT_RESET)
    bench.device().release()
    assert first.answer().delta == 1
    assert second.receive() == []
    second.command(2, READY)
    assert second.answer().delta == 2
    bench.assert_at_rest()
    bench.end()


def test_the_channel_of_a_function_ends_while_that_waits_for_another_one(bench: "Bench") -> None:
    first, second = channels(bench)
    second.fabric.accepts_at_once = False
    second.command(7, READY)
    first.function(1, Function.LOGICAL_UNIT_RESET)
    first.fabric.lose()
    second.fabric.accept()
    assert first.receive() == []
    assert (first.gone, second.answer().tag) == (True, 7)
    bench.assert_at_rest()
    bench.end()
