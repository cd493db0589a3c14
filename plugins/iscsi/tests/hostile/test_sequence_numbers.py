"""Sequence numbers out of sequence."""

from typing import TYPE_CHECKING

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.limits import AHEAD_PDUS_MAX, IMMEDIATE_COMMANDS_MAX
from tgtcore_iscsi.pdu.codes import Opcode, RejectReason

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

WRITE = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, 8, 0))


@pytest.mark.parametrize("ahead", [129, 1000, 0x7FFFFFFF, 0x80000000])
async def test_cmd_sn_far_ahead_of_the_window(rig: "Rig", session: "Client", ahead: int) -> None:
    session.command(bytes(6), cmd_sn=session.cmd_sn + ahead)
    itt = session.command(bytes(6))
    assert (await session.receive()).fields.itt == itt
    assert (await session.execute(bytes(6)))[0] == 0


@pytest.mark.parametrize("behind", [1, 2, 1000, 0x7FFFFFFF])
async def test_cmd_sn_behind(rig: "Rig", session: "Client", behind: int) -> None:
    session.command(bytes(6), cmd_sn=session.cmd_sn - behind & 0xFFFFFFFF)
    itt = session.command(bytes(6))
    assert (await session.receive()).fields.itt == itt


async def test_the_same_cmd_sn_twice(rig: "Rig", session: "Client") -> None:
    first = session.command(bytes(6), cmd_sn=session.cmd_sn)
    session.command(bytes(6))
    last = session.command(bytes(6))
    assert [(await session.receive()).fields.itt for _ in range(2)] == [first, last]


async def test_a_cmd_sn_that_never_comes(session: "Client") -> None:
    for number in range(AHEAD_PDUS_MAX + 1):
        session.command(bytes(6), cmd_sn=session.cmd_sn + 1 + number)
    assert (await session.ended())[0] == Opcode.REJECT


async def test_early_commands_wait_for_the_missing_one(session: "Client") -> None:
    early = [session.command(bytes(6), cmd_sn=session.cmd_sn + number) for number in range(AHEAD_PDUS_MAX, 0, -1)]
    missing = session.command(bytes(6))
    answered = [(await session.receive()).fields.itt for _ in range(AHEAD_PDUS_MAX + 1)]
    assert answered == [missing, *reversed(early)]


@pytest.mark.parametrize("first", [0xFFFFFFFF, 0xFFFFFFF0])
async def test_cmd_sn_wraps_at_2_to_the_32(client: "Client", first: int) -> None:
    client.cmd_sn = first
    await client.login()
    for number in range(40):
        client.cmd_sn = first + number & 0xFFFFFFFF
        itt = client.command(bytes(6))
        fields = (await client.receive()).fields
        assert (fields.itt, fields.exp_cmd_sn) == (itt, first + number + 1 & 0xFFFFFFFF)
        assert fields.max_cmd_sn == fields.exp_cmd_sn + 127 & 0xFFFFFFFF


async def test_immediate_flood(rig: "Rig", session: "Client") -> None:
    def immediate(itt: int) -> bytes:
        return pdu.scsi_command(
            WRITE,
            flags=0xA1,
            lun=0,
            itt=itt,
            expected_length=4096,
            cmd_sn=session.cmd_sn,
            exp_stat_sn=1,
            immediate=True,
        )

    for number in range(1000):
        session.send(immediate(10_000 + number))
    responses = [await session.receive() for _ in range(1000)]
    asked = [one.fields.itt for one in responses if one.opcode is Opcode.R2T]
    assert asked == list(range(10_000, 10_000 + IMMEDIATE_COMMANDS_MAX))
    refused = [one.fields.reason for one in responses if one.opcode is Opcode.REJECT]
    assert refused == [RejectReason.IMMEDIATE_COMMAND_REJECT] * (1000 - IMMEDIATE_COMMANDS_MAX)
    assert len(rig.lu.tasks()) <= IMMEDIATE_COMMANDS_MAX + 1
    assert (await session.execute(bytes(6)))[0] == 0


async def test_immediate_flood_of_pings_that_nobody_reads(rig: "Rig", session: "Client") -> None:
    session.writer.transport.pause_reading()  # type: ignore[attr-defined]
    ping = pdu.nop_out(bytes(65536), itt=5, cmd_sn=session.cmd_sn, exp_stat_sn=0)
    session.send(ping * 1000)
    held = [member.connection.outbound_bytes for member in rig.transport._members]
    assert max(held) <= 5 * 1024 * 1024
    session.writer.transport.abort()


@pytest.mark.parametrize("exp_stat_sn", [0, 1000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
async def test_exp_stat_sn_jumps(session: "Client", exp_stat_sn: int) -> None:
    before = session.exp_stat_sn
    session.command(bytes(6), exp_stat_sn=exp_stat_sn)
    assert (await session.receive()).fields.stat_sn == before
    assert (await session.execute(bytes(6)))[0] == 0
