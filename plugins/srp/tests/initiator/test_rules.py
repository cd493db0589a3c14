"""Answers that are well formed but break a rule."""

import re
from typing import Any

import pytest
from tgtcore_srp.fabric import Segment
from tgtcore_srp.initiator.rules import Rules
from tgtcore_srp.initiator.violation import Violation
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.login import LoginReject, LoginResponse
from tgtcore_srp.iu.opcodes import ResponseCode, ResponseFlag, Solicited, TaskManagementFunction

BUFFER = BufferDescriptor.direct(Segment(0x1000, 2, 512))
GRANTED = LoginResponse(7, 8, 256, 128, 6)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"tag": 8}, "SRP_LOGIN_RSP: tag 0x8, expected 0x7"),
        ({"delta": 0}, "SRP_LOGIN_RSP: request limit 0, expected 1 to 8"),
        ({"delta": -1}, "SRP_LOGIN_RSP: request limit -1, expected 1 to 8"),
        ({"delta": 9}, "SRP_LOGIN_RSP: request limit 9, expected 1 to 8"),
        ({"it_iu_bytes": 255}, "SRP_LOGIN_RSP: takes units of 255 bytes, 256 were required"),
        ({"formats": 2}, "SRP_LOGIN_RSP: formats 0x0002, required were 0x0006"),
        ({"flags": 2}, "SRP_LOGIN_RSP: multi-channel result 2 for action 0"),
    ],
)
def test_login_responses(new_bench: Any, changed: Any, says: str) -> None:
    bench = new_bench(Rules(requests_max=8), limit=0)
    bench.channel.login(bench.request, bench.told.append)
    with pytest.raises(Violation, match=f"^{says}$"):
        bench.channel.receive(GRANTED._replace(**changed).build())
    assert bench.told == []


@pytest.mark.parametrize(
    ("action", "result", "right"), [(0, 1, True), (1, 0, True), (1, 2, True), (1, 1, False), (2, 0, False)]
)
def test_multi_channel_results(new_bench: Any, action: int, result: int, right: bool) -> None:
    bench = new_bench(limit=0, violated=(found := []).append)
    bench.channel.login(bench.request._replace(flags=action), bench.told.append)
    bench.channel.receive(GRANTED._replace(flags=result).build())
    assert (len(bench.told), len(found)) == ((1, 0) if right else (0, 1))


@pytest.mark.parametrize(
    ("reject", "says"),
    [
        (LoginReject(8, 0x10000, 6), "SRP_LOGIN_REJ: tag 0x8, expected 0x7"),
        (LoginReject(7, 3, 6), "SRP_LOGIN_REJ: reason 0x00000003 is none of the standard"),
    ],
)
def test_login_rejections(new_bench: Any, reject: LoginReject, says: str) -> None:
    bench = new_bench(limit=0)
    bench.channel.login(bench.request, bench.told.append)
    with pytest.raises(Violation, match=says):
        bench.channel.receive(reject.build())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"status": 2}, "status CHECK CONDITION without sense data"),
        ({"code": 5}, "response code 5"),
        ({"code": 2, "status": 8}, "status 0x08 beside a response code"),
        ({"in_residual": 3}, "data-in residual count 3 with flags 0x00"),
        ({"flags": ResponseFlag.DIUNDER}, "data-in residual count 0 with flags 0x20"),
        ({"flags": ResponseFlag.DIOVER, "out_residual": 3}, "data-out residual count 3 with flags 0x10"),
        ({"flags": ResponseFlag.DIUNDER, "in_residual": 513}, "data-in underrun of 513 bytes in a buffer of 512"),
        ({"flags": ResponseFlag.DOUNDER, "out_residual": 1}, "data-out underrun of 1 bytes in a buffer of 0"),
        ({"solicited": Solicited.SOLNT}, "solicited notification that was not asked for"),
    ],
)
def test_answers_to_commands(bench: Any, answer: Any, says: str) -> None:
    tag = bench.command(data_in=BUFFER, solicited=Solicited.UCSOLNT)
    with pytest.raises(Violation, match=f"^SRP_RSP to tag 0x1: {re.escape(says)}$"):
        bench.answer(tag, **answer)
    assert len(bench.ended) == 1, "who waits for it is told all the same"


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 2, "sense": b"sense"},
        {"status": 8},
        {"status": 2, "sense": b"sense", "solicited": Solicited.SOLNT},
        {"code": 2, "solicited": Solicited.SOLNT},
        {"code": 0},
        {"flags": ResponseFlag.DIUNDER, "in_residual": 512},
        {"flags": ResponseFlag.DIOVER, "in_residual": 4096},
        {"flags": ResponseFlag.DOOVER, "out_residual": 1},
    ],
)
def test_answers_to_commands_that_break_none(bench: Any, answer: Any) -> None:
    bench.answer(bench.command(data_in=BUFFER, solicited=Solicited.UCSOLNT), **answer)
    assert len(bench.ended) == 1


def test_a_target_that_reports_underruns_as_overruns(new_bench: Any) -> None:
    bench = new_bench(Rules(underrun_as_over=True))
    bench.answer(bench.command(data_in=BUFFER), flags=ResponseFlag.DIOVER, in_residual=12)
    with pytest.raises(Violation, match="data-in underrun is reported as one"):
        bench.answer(bench.command(data_in=BUFFER), flags=ResponseFlag.DIUNDER, in_residual=12)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({}, "task management function without a response code"),
        ({"status": 8}, "task management function without a response code"),
        ({"code": 1}, "response code 1"),
        ({"code": 0, "status": 2}, "status 0x02 beside a response code"),
        ({"code": 0, "sense": b"sense"}, "task management function with flags 0x03"),
        ({"code": 0, "flags": ResponseFlag.DIOVER, "in_residual": 1}, "task management function with flags 0x11"),
        ({"code": ResponseCode.FAILED, "solicited": Solicited.SOLNT}, "solicited notification that was not asked for"),
    ],
)
def test_answers_to_task_management_functions(bench: Any, answer: Any, says: str) -> None:
    tag = bench.manage(TaskManagementFunction.CLEAR_ACA, solicited=Solicited.SCSOLNT)
    with pytest.raises(Violation, match=says):
        bench.answer(tag, **answer)
    assert len(bench.ended) == 1
