"""Request builders of the initiator's side."""

import pytest
from tgtcore_iscsi.initiator import pdu
from tgtcore_iscsi.pdu.ahs import parse_ahs
from tgtcore_iscsi.pdu.codes import FINAL, NO_TAG, LoginStatus, Opcode
from tgtcore_iscsi.pdu.requests import LOGOUT_REQUEST, SCSI_COMMAND, TASK_MANAGEMENT_REQUEST, LogoutRequest
from tgtcore_iscsi.pdu.responses import LOGIN_RESPONSE, LoginResponse


def test_every_request_is_padded_and_starts_with_its_opcode() -> None:
    built = {
        0x43: pdu.login_request(b"a=b\0c", flags=0x87),
        0x04: pdu.text_request(b"a=b\0c", itt=1, cmd_sn=2, exp_stat_sn=3),
        0x05: pdu.data_out(b"abcde", flags=FINAL, itt=1, exp_stat_sn=3, data_sn=0, buffer_offset=0),
        0x40: pdu.nop_out(b"abcde", itt=1, cmd_sn=2, exp_stat_sn=3),
    }
    for opcode, request in built.items():
        assert request[0] == opcode
        assert len(request) == 48 + 8
        assert request[7] == 5


def test_long_cdb_goes_into_an_ahs() -> None:
    cdb = bytes(range(32))
    request = pdu.scsi_command(
        cdb, flags=FINAL, lun=0, itt=1, expected_length=0, cmd_sn=0, exp_stat_sn=0, data=b"abc", read_length=9
    )
    fields = SCSI_COMMAND.parse(request)
    ahs_bytes = (fields.lengths >> 24) * 4
    assert parse_ahs(fields.cdb, request[48 : 48 + ahs_bytes]) == (cdb, 9)
    assert request[48 + ahs_bytes :] == b"abc\0"


def test_task_management_and_logout() -> None:
    request = pdu.task_management_request(1, lun=5, itt=1, cmd_sn=2, exp_stat_sn=3, referenced_task_tag=4)
    assert TASK_MANAGEMENT_REQUEST.parse(request) == (0x81, 0, 5, 1, 4, 2, 3, 0, 0)
    request = pdu.logout_request(1, itt=1, cmd_sn=2, exp_stat_sn=3, cid=6)
    assert LOGOUT_REQUEST.parse(request) == LogoutRequest(0x81, 0, 1, 6, 2, 3)


def test_response_is_taken_apart() -> None:
    header = LoginResponse(0, 0, 0, 5, bytes(6), 0, NO_TAG, 0, 0, 0, 2, 7)
    response = pdu.parse_response(LOGIN_RESPONSE.build(header) + b"hello\0\0\0")
    assert response == pdu.Response(Opcode.LOGIN_RESPONSE, header, b"hello")
    assert pdu.login_status(response.fields) is LoginStatus.MISSING_PARAMETER
    with pytest.raises(ValueError, match="its data segment is 5"):
        pdu.parse_response(LOGIN_RESPONSE.build(header) + b"hello")
