"""What an initiator sends, whom it tells, and how it counts."""

from typing import Any

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.initiator.channel import NoCredit
from tgtcore_srp.initiator.rules import Rules
from tgtcore_srp.initiator.states import State
from tgtcore_srp.initiator.violation import Violation
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.login import LoginReject, LoginRequest, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import RejectReason, ResponseCode, TaskManagementFunction
from tgtcore_srp.iu.others import (
    CreditRequest,
    CreditResponse,
    EventRequest,
    EventResponse,
    InitiatorLogout,
    TargetLogout,
)
from tgtcore_srp.iu.response import Response, build_response

LUN = 0x8000 << 48
OTHER_LUN = 0x8001 << 48
READ = BufferDescriptor.direct(Segment(0x1000, 2, 512))


class TestLogin:
    """From nothing to a channel."""

    def test_granted(self, new_bench: Any) -> None:
        bench = new_bench(limit=0)
        bench.channel.login(bench.request, bench.told.append)
        assert bench.last() == bench.request
        assert bench.channel.state is State.LOGGING_IN
        granted = LoginResponse(7, 5, 256, 128, 6)
        bench.channel.receive(granted.build())
        assert (bench.told, bench.channel.agreed) == ([granted], granted)
        assert (bench.channel.state, bench.channel.credits, bench.channel.room) == (State.LOGGED_IN, 5, 4)

    def test_of_a_connection_request(self, new_bench: Any) -> None:
        bench = new_bench(limit=0)
        bench.channel.login(bench.request, bench.told.append, cm=True)
        assert LoginRequest.parse_cm(bench.sent[0]) == bench.request

    def test_rejected(self, new_bench: Any) -> None:
        bench = new_bench(limit=0)
        bench.channel.login(bench.request, bench.told.append)
        reject = LoginReject(7, RejectReason.INSUFFICIENT_RESOURCES, 6)
        bench.channel.receive(reject.build())
        assert (bench.told, bench.channel.state) == ([reject], State.ENDED)

    def test_lost_before_an_answer(self, new_bench: Any) -> None:
        bench = new_bench(limit=0)
        bench.channel.login(bench.request, bench.told.append)
        bench.channel.lost()
        assert (bench.told, bench.channel.state) == ([None], State.ENDED)

    def test_nothing_goes_before_it(self, new_bench: Any) -> None:
        bench = new_bench(limit=0)
        with pytest.raises(NoCredit, match="new, request limit 0"):
            bench.command()

    def test_a_single_request_may_be_a_command(self, new_bench: Any) -> None:
        assert new_bench(limit=1).channel.room == 1


class TestCommands:
    """One answer each."""

    def test_what_is_sent(self, bench: Any) -> None:
        tag = bench.command(data_in=READ, attribute=2, solicited=6)
        assert bench.last() == Command(tag, LUN, 2, bytes(16), 6, None, READ)

    def test_immediate_data(self, bench: Any) -> None:
        bench.command(data_out=BufferDescriptor.immediate(4, 68), immediate=b"data")
        assert Command.parse(bench.sent[0], immediate_offset=68).data_out == BufferDescriptor.immediate(4, 68)
        assert bench.sent[0][68:] == b"data"

    def test_answers_in_any_order(self, bench: Any) -> None:
        first, second = bench.command(), bench.command()
        bench.answer(second)
        bench.answer(first)
        assert bench.ended == [Response(second, 1), Response(first, 1)]
        assert (bench.channel.unanswered, bench.channel.credits) == (0, 8)

    def test_longer_than_announced(self, bench: Any) -> None:
        pieces = BufferDescriptor.indirect(Segment(0, 0, 16 * 12), (Segment(0, 0, 1),) * 12)
        with pytest.raises(ValueError, match="a command of 260 bytes, 256 at most were announced"):
            bench.command(data_in=pieces)
        assert (bench.sent, bench.channel.credits) == ([], 8)

    def test_the_last_credit_is_for_task_management(self, bench: Any) -> None:
        for _ in range(7):
            bench.command()
        assert bench.channel.room == 0
        with pytest.raises(NoCredit, match="logged in, request limit 1, 1 kept"):
            bench.command()
        bench.manage(TaskManagementFunction.LOGICAL_UNIT_RESET)
        with pytest.raises(NoCredit, match="request limit 0"):
            bench.manage(TaskManagementFunction.LOGICAL_UNIT_RESET)
        assert (bench.channel.credits, bench.channel.unanswered, bench.channel.promised) == (0, 8, 8)

    def test_lost(self, bench: Any) -> None:
        bench.command()
        bench.manage(TaskManagementFunction.CLEAR_ACA)
        bench.channel.lost()
        assert (bench.ended, bench.channel.unanswered) == ([None, None], 0)
        with pytest.raises(NoCredit, match="ended"):
            bench.command()


class TestCredits:
    """The request limit goes up and down as the target says."""

    @pytest.mark.parametrize(("delta", "promised"), [(0, 7), (1, 8), (2, 9), (-2, 5)])
    def test_with_answers(self, bench: Any, delta: int, promised: int) -> None:
        tag = bench.command()
        bench.command()
        bench.answer(tag, delta)
        assert (bench.channel.promised, bench.channel.credits) == (promised, promised - 1)

    def test_with_credit_requests(self, bench: Any) -> None:
        bench.channel.receive(CreditRequest(99, -3).build())
        assert (bench.channel.credits, bench.last()) == (5, CreditResponse(99))
        assert bench.told == [CreditRequest(99, -3)]

    def test_more_than_there_is_room_for(self, new_bench: Any) -> None:
        bench = new_bench(Rules(requests_max=8))
        tag = bench.command()
        with pytest.raises(
            Violation, match="delta 2 makes 9 beside 0 unanswered requests, expected 8 together at most"
        ):
            bench.answer(tag, 2)
        assert bench.ended == [Response(tag, 2)]

    def test_that_of_a_command_which_may_have_ended_in_silence(self, new_bench: Any) -> None:
        """Its credit may come before the function that has ended it is answered."""
        bench = new_bench(Rules(requests_max=8))
        task = bench.command()
        function = bench.manage(TaskManagementFunction.ABORT_TASK, task_tag=task)
        bench.channel.receive(CreditRequest(1, 1).build())
        with pytest.raises(
            Violation, match="delta 1 makes 8 beside 1 unanswered requests, expected 8 together at most"
        ):
            bench.channel.receive(CreditRequest(2, 1).build())
        bench.channel.receive(CreditRequest(3, -1).build())
        bench.answer(function, code=ResponseCode.COMPLETE)
        assert (bench.channel.credits, bench.channel.promised) == (8, 8)


class TestTaskManagement:
    """What a complete function has ended gets no answer after it."""

    def test_what_is_sent(self, bench: Any) -> None:
        tag = bench.manage(TaskManagementFunction.ABORT_TASK, task_tag=77, solicited=4)
        assert bench.last() == TaskManagement(tag, LUN, 1, 77, 4)

    def test_own_answer_first(self, bench: Any) -> None:
        task = bench.command()
        function = bench.manage(TaskManagementFunction.ABORT_TASK, task_tag=task)
        bench.answer(task, status=0x40)
        bench.answer(function, code=ResponseCode.COMPLETE)
        assert [ended.tag for ended in bench.ended] == [task, function]

    def test_no_own_answer(self, bench: Any) -> None:
        task = bench.command()
        function = bench.manage(TaskManagementFunction.ABORT_TASK, task_tag=task)
        bench.answer(function, 2, code=ResponseCode.COMPLETE)
        assert bench.ended == [None, Response(function, 2, flags=1, code=0)]
        assert (bench.channel.unanswered, bench.channel.promised) == (0, 8)

    def test_own_answer_too_late(self, bench: Any) -> None:
        task = bench.command()
        function = bench.manage(TaskManagementFunction.ABORT_TASK, task_tag=task)
        bench.answer(function, code=ResponseCode.COMPLETE)
        with pytest.raises(
            Violation, match="tag 0x1, which waits for none after the task management function that has ended"
        ):
            bench.answer(task)

    @pytest.mark.parametrize(
        ("function", "ends"),
        [
            (TaskManagementFunction.ABORT_TASK_SET, True),
            (TaskManagementFunction.CLEAR_TASK_SET, True),
            (TaskManagementFunction.LOGICAL_UNIT_RESET, True),
            (TaskManagementFunction.CLEAR_ACA, False),
        ],
    )
    def test_those_of_the_logical_unit_that_went_before(self, bench: Any, function: int, ends: bool) -> None:
        bench.command()
        other = bench.command(lun=OTHER_LUN)
        tag = bench.manage(function)
        later = bench.command()
        bench.answer(tag, code=ResponseCode.COMPLETE)
        assert (None in bench.ended) == ends
        bench.answer(other)
        bench.answer(later)
        assert bench.channel.unanswered == (0 if ends else 1)

    @pytest.mark.parametrize("lun", [LUN, OTHER_LUN])
    def test_a_task_is_known_by_its_logical_unit_too(self, bench: Any, lun: int) -> None:
        task = bench.command(lun=OTHER_LUN)
        bench.answer(
            bench.manage(TaskManagementFunction.ABORT_TASK, task_tag=task, lun=lun), code=ResponseCode.COMPLETE
        )
        assert bench.channel.unanswered == (1 if lun == LUN else 0)

    @pytest.mark.parametrize(
        "code", [ResponseCode.FAILED, ResponseCode.NOT_SUPPORTED, ResponseCode.REQUEST_FIELDS_INVALID]
    )
    def test_a_failed_one_ends_nothing(self, bench: Any, code: ResponseCode) -> None:
        task = bench.command()
        bench.answer(bench.manage(TaskManagementFunction.ABORT_TASK, task_tag=task), code=code)
        bench.answer(task)
        assert [ended.tag for ended in bench.ended] == [2, 1]


class TestRequestsOfTheTarget:
    """One at a time, and only where it may."""

    def test_an_event(self, bench: Any) -> None:
        event = EventRequest(5, 1, LUN, b"sense")
        bench.channel.receive(event.build())
        assert (bench.last(), bench.told, bench.channel.credits) == (EventResponse(5), [event], 9)

    def test_one_at_a_time(self, bench: Any) -> None:
        bench.channel.answers_requests = False
        bench.channel.receive(CreditRequest(1, 0).build())
        with pytest.raises(Violation, match="SRP_AER_REQ while one with tag 0x1 has no answer"):
            bench.channel.receive(EventRequest(2, 0, LUN, b"").build())
        assert bench.sent == []
        bench.channel.answer_requests()
        bench.channel.receive(EventRequest(2, 0, LUN, b"").build())
        assert bench.last() == CreditResponse(1)

    def test_logout(self, bench: Any) -> None:
        bench.command()
        bench.channel.receive(TargetLogout(1, 3).build())
        assert (bench.told, bench.ended, bench.channel.state) == ([TargetLogout(1, 3)], [None], State.ENDED)

    @pytest.mark.parametrize("request_", [CreditRequest(1, 1), EventRequest(1, 0, LUN, b""), TargetLogout(1, 0)])
    def test_a_target_that_may_not(self, new_bench: Any, request_: Any) -> None:
        bench = new_bench(Rules(may_request=False))
        with pytest.raises(Violation, match="from a target that sends no requests"):
            bench.channel.receive(request_.build())


class TestViolations:
    """What has no place in the state of the channel."""

    @pytest.mark.parametrize(
        ("unit", "says"),
        [
            (b"", "unexpected unit  while logged in"),
            (b"\xc1", "SRP_RSP: length is 1, expected 36 bytes or more"),
            (bytes(129), "a unit of 129 bytes, 128 at most were announced"),
            (LoginResponse(7, 1, 256, 128, 6).build(), "unexpected unit c0.* while logged in"),
            (TaskManagement(1, 2, 3).build(), "unexpected unit 01.* while logged in"),
            (build_response(55, 1), "SRP_RSP to tag 0x37, which waits for none$"),
        ],
    )
    def test_while_logged_in(self, bench: Any, unit: bytes, says: str) -> None:
        with pytest.raises(Violation, match=f"^{says}"):
            bench.channel.receive(unit)

    def test_a_second_answer(self, bench: Any) -> None:
        tag = bench.command()
        bench.answer(tag)
        with pytest.raises(Violation, match="which waits for none"):
            bench.answer(tag)

    def test_anything_after_the_end(self, bench: Any) -> None:
        bench.channel.lost()
        with pytest.raises(Violation, match="while ended"):
            bench.channel.receive(build_response(1, 1))

    def test_what_crosses_a_logout_is_none(self, bench: Any) -> None:
        tag = bench.command()
        bench.channel.logout()
        assert isinstance(bench.last(), InitiatorLogout)
        bench.answer(tag)
        assert (bench.ended, bench.channel.state) == ([None], State.LOGGED_OUT)

    def test_somebody_else_is_told(self, new_bench: Any) -> None:
        found: list[Violation] = []
        bench = new_bench(violated=found.append)
        bench.answer(3)
        bench.answer(4)
        assert [str(violation)[:18] for violation in found] == ["SRP_RSP to tag 0x3", "SRP_RSP to tag 0x4"]


class TestDishonesty:
    """What a hostile test may do."""

    def test_more_than_the_limit(self, bench: Any) -> None:
        bench.channel.heeds_credits = False
        for _ in range(9):
            bench.command()
        bench.manage(TaskManagementFunction.CLEAR_ACA)
        assert (bench.channel.credits, len(bench.sent)) == (-2, 10)

    def test_anything(self, bench: Any) -> None:
        bench.channel.inject(b"anything")
        assert (bench.sent, bench.channel.unanswered) == ([b"anything"], 0)

    def test_a_command_of_its_own_making(self, bench: Any) -> None:
        command = Command(0xFFFF, LUN, 7, bytes(16))
        bench.channel.inject(command.build(), command, bench.ended.append)
        bench.answer(0xFFFF)
        assert bench.ended == [Response(0xFFFF, 1)]

    def test_a_task_management_function_of_its_own_making(self, bench: Any) -> None:
        function = TaskManagement(0xFFFF, LUN, 0x33)
        bench.channel.inject(function.build(), function)
        bench.answer(0xFFFF, code=ResponseCode.NOT_SUPPORTED)
        assert bench.channel.unanswered == 0
