"""Basic header segments that say what they may not: each costs its own connection, or is answered as the standard says."""

from typing import TYPE_CHECKING, Any

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.initiator.pdu import parse_response
from tgtcore_iscsi.pdu.codes import FINAL, NO_TAG, LoginStatus, Opcode, RejectReason

if TYPE_CHECKING:
    from conftest import Client, Rig

pytestmark = pytest.mark.asyncio

READ = bytes((0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0))
WRITE = b"\x2a" + READ[1:]


async def rejected(client: "Client") -> Any:
    """The connection ends; the reason that was given first."""
    rest = await client.ended()
    response = parse_response(rest[:96])
    assert response.opcode is Opcode.REJECT
    assert len(rest) == 96
    return RejectReason(response.fields.reason)


@pytest.mark.parametrize("length", [0xFFFFFF, 262145], ids=["FFFFFFh", "over MaxRecvDataSegmentLength"])
async def test_data_segment_length(session: "Client", make_header: Any, length: int) -> None:
    session.send(make_header(0x01, lengths=length, cmd_sn=session.cmd_sn))
    assert await rejected(session) is RejectReason.INVALID_PDU_FIELD


async def test_total_ahs_length_255_with_nothing_behind(rig: "Rig", session: "Client", make_header: Any) -> None:
    session.send(make_header(0x01, 0xC1, lengths=0xFF000000, cmd_sn=session.cmd_sn))
    session.writer.write_eof()
    assert await session.ended() == b""
    await rig.until(lambda: len(rig.transport.sessions()) == 1)


@pytest.mark.parametrize(
    "ahs",
    [
        bytes(1020),
        b"\x00\x05\x3f\x00" + bytes(8),
        b"\x00\x00\x01\x00",
        b"\xff\xff\x01\x00",
        b"\x00\x01\x02\x00",
        b"\x00\x05\x02\x00\0\0\0\0" * 2,
    ],
    ids=["1020 zeroes", "type unknown", "length 0", "length FFFFh", "bidirectional of length 1", "twice"],
)
async def test_ahs(session: "Client", make_header: Any, ahs: bytes) -> None:
    session.send(make_header(0x01, 0xC1, lengths=len(ahs) // 4 << 24, cmd_sn=session.cmd_sn) + ahs)
    assert await rejected(session) is RejectReason.INVALID_PDU_FIELD


@pytest.mark.parametrize("opcode", [0x3F, 0x1F, 0x07, 0x1C, 0x20, 0x21, 0x25, 0x31, 0x32])
async def test_opcode_that_is_no_request(session: "Client", make_header: Any, opcode: int) -> None:
    """3Fh, reserved and vendor's opcodes, and those of a target: an R2T, too, is not the initiator's to send."""
    session.send(make_header(opcode, cmd_sn=session.cmd_sn))
    assert await rejected(session) is RejectReason.COMMAND_NOT_SUPPORTED


async def test_i_bit_of_a_scsi_command(session: "Client") -> None:
    itt = session.command(bytes(6), immediate=False)
    immediate = pdu.scsi_command(
        bytes(6), flags=0x81, lun=0, itt=500, expected_length=0, cmd_sn=session.cmd_sn, exp_stat_sn=0, immediate=True
    )
    session.send(immediate)
    assert [(await session.receive()).fields.itt for _ in range(2)] == [itt, 500]


async def test_i_bit_of_data_out(session: "Client") -> None:
    itt = session.command(WRITE, out=4096)
    r2t = (await session.receive()).fields
    request = pdu.data_out(bytes(4096), flags=FINAL, itt=itt, exp_stat_sn=0, data_sn=0, buffer_offset=0, ttt=r2t.ttt)
    session.send(bytes((request[0] | 0x40,)) + request[1:])
    assert (await session.receive()).fields.status == 0


async def test_reserved_bits_set(session: "Client") -> None:
    request = bytearray(pdu.nop_out(itt=9, cmd_sn=session.cmd_sn, exp_stat_sn=0))
    request[0] |= 0x80
    request[1:4] = b"\xff\xff\xff"
    request[32:48] = b"\xff" * 16
    session.send(bytes(request))
    assert (await session.receive()).opcode is Opcode.NOP_IN
    assert (await session.execute(bytes(6)))[0] == 0


@pytest.mark.parametrize(
    ("versions", "status"),
    [
        ((0, 0), LoginStatus.SUCCESS),
        ((0xFF, 0), LoginStatus.SUCCESS),
        ((0xFF, 1), LoginStatus.UNSUPPORTED_VERSION),
        ((0, 0xFF), LoginStatus.UNSUPPORTED_VERSION),
    ],
)
async def test_version_max_and_min(login: Any, versions: tuple[int, int], status: LoginStatus) -> None:
    await login.begins(version_max=versions[0], version_min=versions[1])
    assert login.status is status


async def test_tsih_of_no_session(login: Any) -> None:
    await login.begins(tsih=0x7777, nsg=3)
    assert login.status is LoginStatus.SESSION_DOES_NOT_EXIST
    assert await login.client.ended() == b""


async def test_tsih_of_another_initiator_s_session(rig: "Rig", login: Any) -> None:
    [other] = rig.transport.sessions()
    await login.begins(tsih=int(other.id), nsg=3)
    assert login.status is LoginStatus.SESSION_DOES_NOT_EXIST
    assert [session.id for session in rig.transport.sessions()] == [other.id]


async def test_cid_of_a_second_connection(rig: "Rig", session: "Client", login: Any) -> None:
    mine = next(one for one in rig.transport.sessions() if one.details["isid"] == "400000010001")
    login.client = await type(session).connect(rig)
    await login.begins(tsih=int(mine.id), nsg=3, cid=55)
    assert login.status is LoginStatus.TOO_MANY_CONNECTIONS
    assert (await session.execute(bytes(6)))[0] == 0
    login.client.close()


async def test_isid_in_use_reinstates_the_session(rig: "Rig", session: "Client", login: Any) -> None:
    login.client = await type(session).connect(rig)
    await login.begins(nsg=3)
    assert login.status is LoginStatus.SUCCESS
    assert await session.ended() == b""
    assert len(rig.transport.sessions()) == 2
    login.client.close()


@pytest.mark.parametrize(("csg", "nsg"), [(3, 3), (3, None), (2, None), (2, 3), (0, 2), (1, 2), (1, 1), (1, 0), (0, 0)])
async def test_csg_and_nsg(login: Any, csg: int, nsg: int | None) -> None:
    await login.begins(csg=csg, nsg=nsg)
    assert login.status is LoginStatus.INITIATOR_ERROR
    assert await login.client.ended() == b""


async def test_csg_back_to_security(login: Any) -> None:
    await login.begins(csg=0, nsg=1)
    assert login.status is LoginStatus.SUCCESS
    await login.says(b"AuthMethod=None\0", csg=0)
    assert login.status is LoginStatus.INITIATOR_ERROR


async def test_t_and_c_bits_both_set(login: Any) -> None:
    await login.begins(csg=0, nsg=1, more=True)
    assert login.status is LoginStatus.INITIATOR_ERROR


async def test_c_bit_with_no_data_in_a_login(login: Any) -> None:
    await login.says(b"", more=True)
    assert login.status is LoginStatus.INITIATOR_ERROR


@pytest.mark.parametrize(("flags", "data"), [(0x40, b""), (0xC0, b"SendTargets=\0")], ids=["no data", "F bit"])
async def test_c_bit_in_a_text_request(session: "Client", flags: int, data: bytes) -> None:
    session.send(pdu.text_request(data, itt=3, cmd_sn=session.cmd_sn, exp_stat_sn=0, flags=flags))
    assert await rejected(session) is RejectReason.PROTOCOL_ERROR


async def test_login_in_full_feature_phase(session: "Client") -> None:
    session.send(pdu.login_request(b"", flags=0x87, cmd_sn=session.cmd_sn))
    assert await rejected(session) is RejectReason.COMMAND_NOT_SUPPORTED


@pytest.mark.parametrize("opcode", [Opcode.SCSI_COMMAND, Opcode.TASK_MANAGEMENT_REQUEST, Opcode.DATA_OUT])
async def test_scsi_command_in_a_discovery_session(client: "Client", make_header: Any, opcode: Opcode) -> None:
    await client.login(discovery=True)
    client.send(make_header(opcode, 0x81, cmd_sn=client.cmd_sn))
    assert await rejected(client) is RejectReason.COMMAND_NOT_SUPPORTED


@pytest.mark.parametrize("ttt", [0, 1, 0x1234, 0xFFFFFFFE])
async def test_text_with_ttt_never_issued(session: "Client", ttt: int) -> None:
    session.send(pdu.text_request(b"SendTargets=\0", itt=3, cmd_sn=session.cmd_sn, exp_stat_sn=1, ttt=ttt))
    assert await rejected(session) is RejectReason.INVALID_PDU_FIELD


@pytest.mark.parametrize("ttt", [NO_TAG, 0x1234])
async def test_nop_out_without_itt_and_with_data(session: "Client", ttt: int) -> None:
    session.send(pdu.nop_out(bytes(1000), itt=NO_TAG, ttt=ttt, cmd_sn=session.cmd_sn, exp_stat_sn=0))
    assert (await session.execute(bytes(6)))[0] == 0


async def test_nop_out_with_itt_and_data(session: "Client") -> None:
    session.send(pdu.nop_out(b"x" * 1001, itt=7, ttt=NO_TAG, cmd_sn=session.cmd_sn, exp_stat_sn=0))
    response = await session.receive()
    assert (response.opcode, response.fields.itt, response.data) == (Opcode.NOP_IN, 7, b"x" * 1001)


@pytest.mark.parametrize(("reason", "cid", "result"), [(1, 55, 1), (2, 0, 2), (2, 55, 2)])
async def test_logout_for_another_cid(session: "Client", reason: int, cid: int, result: int) -> None:
    session.send(pdu.logout_request(reason, itt=9, cmd_sn=session.cmd_sn, exp_stat_sn=1, cid=cid))
    assert (await session.receive()).fields.response == result
    assert (await session.execute(bytes(6)))[0] == 0


async def test_logout_for_no_reason(session: "Client") -> None:
    session.send(pdu.logout_request(0x7F, itt=9, cmd_sn=session.cmd_sn, exp_stat_sn=1))
    assert await rejected(session) is RejectReason.INVALID_PDU_FIELD


async def test_snack(session: "Client", make_header: Any) -> None:
    for _ in range(100):
        session.send(make_header(0x10))
    for _ in range(100):
        response = await session.receive()
        assert (response.opcode, response.fields.reason) == (Opcode.REJECT, RejectReason.SNACK_REJECT)
    assert (await session.execute(bytes(6)))[0] == 0


async def test_task_tag_in_use(session: "Client") -> None:
    session.command(WRITE, out=4096, itt=42)
    assert (await session.receive()).opcode is Opcode.R2T
    session.command(WRITE, out=4096, itt=42)
    assert await rejected(session) is RejectReason.TASK_IN_PROGRESS


@pytest.mark.parametrize("length", [0, 1, 511, 1 << 20, 0xFFFFFFFF])
async def test_expected_length_of_a_read_that_does_not_fit_the_cdb(session: "Client", length: int) -> None:
    session.command(READ, room=length)
    response = await session.receive()
    fields = response.fields
    assert (fields.status, len(response.data)) == (0, min(length, 4096))
    assert (fields.flags & 0x06, fields.residual) == (0x04 if length < 4096 else 0x02, abs(length - 4096))


@pytest.mark.parametrize("length", [1, 511, 1 << 20, 0xFFFFFFFF])
async def test_expected_length_of_a_write_that_does_not_fit_the_cdb(rig: "Rig", session: "Client", length: int) -> None:
    content = b"\xa5" * min(length, 4096)
    itt = session.command(WRITE, out=length)
    r2t = (await session.receive()).fields
    assert r2t.desired_length == len(content)
    session.data(itt, content, 0, len(content), ttt=r2t.ttt)
    fields = (await session.receive()).fields
    assert fields.status == 0
    assert (fields.flags & 0x06, fields.residual) == (0x04 if length < 4096 else 0x02, abs(length - 4096))
    assert rig.ram.content[: len(content)] == content


async def test_expected_length_0_of_a_write(rig: "Rig", session: "Client") -> None:
    rig.ram.content[:4096] = b"\x5a" * 4096
    session.command(WRITE)
    fields = (await session.receive()).fields
    assert (fields.status, fields.flags & 0x06, fields.residual) == (0, 0x04, 4096)
    assert rig.ram.content[:4096] == b"\x5a" * 4096


@pytest.mark.parametrize("cdb", [READ, WRITE, bytes(6)], ids=["read", "write", "no data"])
async def test_both_r_and_w_bits_without_ahs(session: "Client", cdb: bytes) -> None:
    session.command(cdb, out=4096, room=4096)
    assert await rejected(session) is RejectReason.INVALID_PDU_FIELD


async def test_what_was_received_before_a_wrong_header_is_done(rig: "Rig", session: "Client", make_header: Any) -> None:
    session.command(WRITE, out=b"\xc3" * 4096, immediate=4096)
    session.send(make_header(0x3F))
    await session.ended()
    await rig.until(lambda: rig.ram.content[:4096] == b"\xc3" * 4096)
    await rig.until(lambda: len(rig.transport.sessions()) == 1)
