"""Data-out that nobody has asked for."""

from typing import TYPE_CHECKING, Any

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.initiator.pdu import parse_response
from tgtcore_iscsi.pdu.codes import FINAL, NO_TAG, Opcode, RejectReason

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

WRITE = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, 8, 0))
ABORT_TASK = 1


async def refused(rig: "Rig", client: "Client") -> None:
    """The connection ends with a Reject, and nothing was written."""
    rest = await client.ended()
    response = parse_response(rest[:96])
    assert (response.opcode, response.fields.reason) == (Opcode.REJECT, RejectReason.INVALID_PDU_FIELD)
    assert len(rest) == 96
    assert not any(rig.ram.content[:65536])


async def asked(client: "Client") -> tuple[int, Any]:
    """A write of 4096 bytes that waits for its data."""
    itt = client.command(WRITE, out=4096)
    r2t = await client.receive()
    assert (r2t.opcode, r2t.fields.desired_length) == (Opcode.R2T, 4096)
    return itt, r2t.fields


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"ttt": 0x7777}, id="wrong TTT"),
        pytest.param({"ttt": NO_TAG}, id="no TTT"),
        pytest.param({"itt": 999}, id="wrong task"),
        pytest.param({"buffer_offset": 4096}, id="offset past the buffer"),
        pytest.param({"buffer_offset": 0xFFFFFFFF}, id="offset FFFFFFFFh"),
        pytest.param({"buffer_offset": 512, "size": 3584}, id="out of order"),
        pytest.param({"data_sn": 1}, id="DataSN gap"),
        pytest.param({"data_sn": 0xFFFFFFFF}, id="DataSN behind"),
        pytest.param({"size": 8192}, id="more data than asked for"),
        pytest.param({"size": 512, "flags": FINAL}, id="F bit early"),
        pytest.param({"flags": 0}, id="F bit late"),
    ],
)
async def test_wrong_fields(rig: "Rig", session: "Client", wrong: dict[str, int]) -> None:
    itt, r2t = await asked(session)
    fields = {"flags": FINAL, "itt": itt, "exp_stat_sn": 1, "data_sn": 0, "buffer_offset": 0, "ttt": r2t.ttt, **wrong}
    session.send(pdu.data_out(b"\xff" * fields.pop("size", 4096), **fields))
    await refused(rig, session)


async def test_ttt_of_another_task(rig: "Rig", session: "Client") -> None:
    itt, _ = await asked(session)
    _, other = await asked(session)
    session.data(itt, b"\xff" * 4096, 0, 4096, ttt=other.ttt)
    await refused(rig, session)


@pytest.mark.parametrize("second", [0, 256, 1024], ids=["the same again", "overlapping", "a gap"])
async def test_offsets_that_do_not_follow(rig: "Rig", session: "Client", second: int) -> None:
    itt, r2t = await asked(session)
    for data_sn, offset in enumerate((0, second)):
        data = pdu.data_out(
            b"\xff" * 512, flags=0, itt=itt, exp_stat_sn=1, data_sn=data_sn, buffer_offset=offset, ttt=r2t.ttt
        )
        session.send(data)
    await refused(rig, session)


async def test_data_beyond_the_last_burst(rig: "Rig", session: "Client") -> None:
    itt, r2t = await asked(session)
    session.data(itt, bytes(4096), 0, 4096, ttt=r2t.ttt)
    assert (await session.receive()).fields.status == 0
    session.data(itt, b"\xff" * 8192, 4096, 8192, ttt=r2t.ttt)
    await refused(rig, session)


async def test_data_for_a_read(rig: "Rig", session: "Client") -> None:
    itt = session.command(b"\x28" + WRITE[1:], room=4096)
    session.data(itt, b"\xff" * 4096, 0, 4096, ttt=NO_TAG)
    rest = await session.ended()
    # the read may have ended before that, or not
    assert parse_response(rest[4096 + 48 :] or rest).opcode is Opcode.REJECT
    assert not any(rig.ram.content[:4096])


async def test_data_after_the_task_has_been_aborted(rig: "Rig", session: "Client") -> None:
    itt, r2t = await asked(session)
    abort = pdu.task_management_request(
        ABORT_TASK,
        lun=0,
        itt=88,
        cmd_sn=session.cmd_sn,
        exp_stat_sn=1,
        referenced_task_tag=itt,
        ref_cmd_sn=session.cmd_sn - 1,
    )
    session.send(abort)
    assert (await session.receive()).opcode is Opcode.TASK_MANAGEMENT_RESPONSE
    session.data(itt, b"\xff" * 4096, 0, 4096, ttt=r2t.ttt)
    assert (await session.execute(bytes(6)))[0] == 0
    assert not any(rig.ram.content[:4096])


async def test_unsolicited_data_beyond_first_burst_length(rig: "Rig", client: "Client") -> None:
    await client.login(FirstBurstLength="512")
    await client.ready()
    itt = client.command(WRITE, out=4096, final=0)
    client.data(itt, b"\xff" * 4096, 0, 4096, ttt=NO_TAG)
    await refused(rig, client)


async def test_immediate_data_beyond_first_burst_length(rig: "Rig", client: "Client") -> None:
    await client.login(FirstBurstLength="512")
    await client.ready()
    client.command(WRITE, out=b"\xff" * 4096, immediate=1024)
    await refused(rig, client)


async def test_immediate_data_beyond_the_expected_length(rig: "Rig", session: "Client") -> None:
    request = pdu.scsi_command(
        WRITE, flags=0xA1, lun=0, itt=7, expected_length=512, cmd_sn=session.cmd_sn, exp_stat_sn=1, data=b"\xff" * 4096
    )
    session.send(request)
    await refused(rig, session)


async def test_immediate_data_with_a_command_that_writes_nothing(rig: "Rig", session: "Client") -> None:
    request = pdu.scsi_command(
        WRITE, flags=0x81, lun=0, itt=7, expected_length=4096, cmd_sn=session.cmd_sn, exp_stat_sn=1, data=b"\xff" * 4096
    )
    session.send(request)
    await refused(rig, session)


async def test_immediate_data_although_immediate_data_is_no(rig: "Rig", client: "Client") -> None:
    await client.login(ImmediateData="No")
    await client.ready()
    client.command(WRITE, out=b"\xff" * 4096, immediate=512)
    await refused(rig, client)


async def test_unsolicited_data_although_initial_r2t_is_yes(rig: "Rig", client: "Client") -> None:
    await client.login(InitialR2T="Yes")
    await client.ready()
    client.command(WRITE, out=b"\xff" * 4096, final=0)
    await refused(rig, client)


async def test_unsolicited_data_after_all_of_it_came_with_the_command(rig: "Rig", session: "Client") -> None:
    session.command(WRITE, out=b"\xff" * 4096, immediate=4096, final=0)
    await refused(rig, session)


async def test_no_f_bit_in_a_command_without_data(rig: "Rig", session: "Client") -> None:
    session.command(bytes(6), final=0)
    await refused(rig, session)
