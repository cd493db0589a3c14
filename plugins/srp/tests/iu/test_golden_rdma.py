"""What the SRP initiator of a Linux kernel has sent over RDMA, recorded in a guest with our target."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from tgtcore_srp.iu.command import Command
from tgtcore_srp.iu.descriptors import BufferDescriptor
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.login import LoginRequest, LoginResponse
from tgtcore_srp.iu.management import TaskManagement
from tgtcore_srp.iu.opcodes import (
    BufferFormat,
    BufferFormats,
    LoginRequestFlag,
    LoginResponseFlag,
    MultiChannelAction,
    MultiChannelResult,
    Opcode,
    ResponseCode,
    TaskManagementFunction,
)
from tgtcore_srp.iu.others import CreditRequest, CreditResponse, TargetLogout
from tgtcore_srp.iu.response import Response
from tgtcore_srp.iu.table import FromInitiator, parse_from_initiator, parse_from_target

from tgtcore.scsi.status import Status

RECORD = Path(__file__).parents[1] / "golden" / "ib_srp_ius.txt"
IMMEDIATE_OFFSET = 68
PLAIN, IN_TABLES = {1, 2}, {3, 4}
"""Channels of the initiator with its defaults, and of one that neither registers memory nor sends immediate data."""


class Recorded(NamedTuple):
    """A unit as it was read, and its bytes."""

    channel: int
    fields: FromInitiator
    unit: bytes


def lines(*kinds: str) -> list[tuple[int, bytes]]:
    """Channel and unit of the lines of these kinds."""
    found = [line.split() for line in RECORD.read_text().splitlines() if not line.startswith("#")]
    return [(int(channel), bytes.fromhex(unit)) for channel, kind, unit in found if kind in kinds]


LOGINS = [(channel, LoginRequest.parse_cm(unit), unit) for channel, unit in lines("login")]


def _read(channel: int, unit: bytes) -> FromInitiator:
    if unit[0] != Opcode.CMD:
        return parse_from_initiator(unit)
    (offset,) = [login.immediate_offset for number, login, _ in LOGINS if number == channel]
    return Command.parse(unit, None, offset)


REQUESTS = [Recorded(channel, _read(channel, unit), unit) for channel, unit in lines("request")]
COMMANDS = [(channel, fields, unit) for channel, fields, unit in REQUESTS if isinstance(fields, Command)]


def buffers(out: bool, form: BufferFormat) -> list[tuple[int, Command, BufferDescriptor]]:
    """Channel, command and descriptor of all buffers of a format."""
    found = [(channel, one, one.data_out if out else one.data_in) for channel, one, _ in COMMANDS]
    return [(channel, one, buffer) for channel, one, buffer in found if buffer is not None and buffer.format is form]


def test_logins_are_written_the_same() -> None:
    for _, fields, unit in LOGINS:
        assert fields.build_cm() == unit
        assert LoginRequest.parse(fields.build()) == fields


def test_requests_are_written_the_same() -> None:
    """Only between descriptor and immediate data the initiator leaves what an earlier request had there."""
    for _, fields, unit in REQUESTS:
        if isinstance(fields, Command) and fields.data_out and fields.data_out.offset:
            data = unit[IMMEDIATE_OFFSET:]
            assert len(data) == fields.data_out.length
            built = fields.build(data)
            assert (built[:52], built[IMMEDIATE_OFFSET:], len(built)) == (unit[:52], data, len(unit))
        else:
            assert fields.build() == unit


def test_answers_are_written_the_same() -> None:
    for _, unit in lines("answer"):
        assert parse_from_target(unit).build() == unit


def test_the_kinds_that_were_recorded() -> None:
    kinds = Counter(type(fields) for _, fields, _ in REQUESTS)
    assert kinds == {Command: len(COMMANDS), TaskManagement: 2, CreditResponse: 1}
    assert Counter(type(parse_from_target(unit)) for _, unit in lines("answer")) == {
        LoginResponse: 6,
        Response: len(COMMANDS) + 2,
        CreditRequest: 1,
        TargetLogout: 2,
    }


@pytest.mark.parametrize("first", [1, 3, 5])
def test_the_logins_of_a_session(first: int) -> None:
    """The first channel ends all that were there, the second one joins."""
    (one, _), (other, _) = [(fields, unit) for channel, fields, unit in LOGINS if first <= channel <= first + 1]
    assert (one.channels, other.channels) == (MultiChannelAction.SINGLE, MultiChannelAction.MULTI)
    assert (one.initiator_port, one.target_port) == (other.initiator_port, other.target_port)
    assert one.target_port == bytes.fromhex("0000000000000001 0000000000000002")
    assert one.formats == BufferFormats.DIRECT | BufferFormats.INDIRECT
    answers = [parse_from_target(unit) for channel, unit in lines("answer") if first <= channel <= first + 1]
    results = [answer.channels for answer in answers if isinstance(answer, LoginResponse)]
    assert results == [MultiChannelResult.NO_CHANNELS, MultiChannelResult.MAINTAINED]


def test_immediate_data_is_used_where_it_was_agreed() -> None:
    wanted = {channel: login.flags & LoginRequestFlag.IMMEDIATE for channel, login, _ in LOGINS}
    granted = {}
    for channel, unit in lines("answer"):
        answer = parse_from_target(unit)
        if isinstance(answer, LoginResponse):
            granted[channel] = answer.flags & LoginResponseFlag.IMMEDIATE
    assert granted == wanted
    assert {channel for channel, flag in wanted.items() if not flag} == IN_TABLES
    for channel, login, _ in LOGINS:
        assert (login.it_iu_bytes, login.immediate_offset) == ((148, 0) if channel in IN_TABLES else (8260, 68))
    assert {channel for channel, _, _ in buffers(True, BufferFormat.IMMEDIATE)} == PLAIN


def test_immediate_data() -> None:
    found = buffers(True, BufferFormat.IMMEDIATE)
    assert [(one.cdb[0], buffer.length, buffer.offset) for _, one, buffer in found] == [(0x2A, 512, 68)] * 2
    units = [unit for _, fields, unit in COMMANDS if fields.data_out and fields.data_out.offset]
    assert all(unit[IMMEDIATE_OFFSET:] == b"T" * 512 for unit in units)
    for unit in units:
        with pytest.raises(Malformed, match="data-out buffer descriptor format"):
            Command.parse(unit)
        with pytest.raises(Malformed, match="immediate data end"):
            Command.parse(unit, len(unit) - 1, IMMEDIATE_OFFSET)


def test_direct_buffers() -> None:
    """Registered memory is one piece, however scattered it is."""
    writes = {(channel in PLAIN, buffer.length) for channel, _, buffer in buffers(True, BufferFormat.DIRECT)}
    assert writes == {(True, 49152), (False, 512)}
    reads = buffers(False, BufferFormat.DIRECT)
    assert {channel for channel, _, _ in reads} == PLAIN | IN_TABLES
    assert all(buffer.segments[0].key for _, _, buffer in reads)


def test_indirect_buffers() -> None:
    """The command lists four pieces at most; of the others the table knows."""
    found = [
        (out, buffer.listed, buffer.complete, buffer.length)
        for out in (True, False)
        for _, _, buffer in buffers(out, BufferFormat.INDIRECT)
    ]
    assert found == [(True, 4, True, 16384), (False, 3, True, 16384), (False, 4, False, 131072)]
    *_, (_, _, partial) = buffers(False, BufferFormat.INDIRECT)
    assert partial.table is not None
    assert partial.table.length == 23 * 16
    assert sum(each.length for each in partial.segments) < partial.length


def test_task_management() -> None:
    reset, abort = [fields for _, fields, _ in REQUESTS if isinstance(fields, TaskManagement)]
    assert (reset.function, reset.lun) == (TaskManagementFunction.LOGICAL_UNIT_RESET, 0)
    assert (abort.function, abort.lun) == (TaskManagementFunction.ABORT_TASK, 0)
    assert abort.task_tag == 0x0E000100_00000000
    assert reset.tag == abort.tag, "each channel has tags of its own for these"
    answers = [parse_from_target(unit) for _, unit in lines("answer") if unit[0] == Opcode.RSP]
    codes = [one.code for one in answers if isinstance(one, Response) and one.code is not None]
    assert codes == [ResponseCode.COMPLETE] * 2


def test_a_request_of_the_target_and_its_answer() -> None:
    credit = [(channel, parse_from_target(unit)) for channel, unit in lines("answer") if unit[0] == Opcode.CRED_REQ]
    answer = [(channel, fields) for channel, fields, _ in REQUESTS if isinstance(fields, CreditResponse)]
    assert credit == [(6, CreditRequest(1, 4))]
    assert answer == [(6, CreditResponse(1))]


def test_statuses() -> None:
    """The first command to a logical unit hears of a unit attention, and goes on."""
    answers = [parse_from_target(unit) for _, unit in lines("answer")]
    statuses = {one.status for one in answers if isinstance(one, Response)}
    assert statuses == {Status.GOOD, Status.CHECK_CONDITION}
    assert {one.sense[2:3] + one.sense[12:14] for one in answers if isinstance(one, Response) and one.sense} == {
        bytes.fromhex("06 2900")
    }
