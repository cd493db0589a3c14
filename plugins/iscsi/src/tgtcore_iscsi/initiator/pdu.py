"""Whole request PDUs as an initiator sends them, and the pieces of a response."""

from typing import Any, NamedTuple

from tgtcore_iscsi.digest import padding
from tgtcore_iscsi.pdu.ahs import CDB_IN_HEADER, build_ahs
from tgtcore_iscsi.pdu.codes import FINAL, NO_TAG, OPCODE_MASK, LoginStatus, Opcode
from tgtcore_iscsi.pdu.requests import (
    DATA_OUT,
    LOGIN_REQUEST,
    LOGOUT_REQUEST,
    NOP_OUT,
    SCSI_COMMAND,
    TASK_MANAGEMENT_REQUEST,
    TEXT_REQUEST,
    DataOut,
    LoginRequest,
    LogoutRequest,
    NopOut,
    ScsiCommand,
    TaskManagementRequest,
    TextRequest,
)
from tgtcore_iscsi.pdu.responses import LoginResponse
from tgtcore_iscsi.pdu.table import LAYOUTS


class Response(NamedTuple):
    """A PDU of the target, taken apart; ``fields`` is the named tuple of its layout."""

    opcode: Opcode
    fields: Any
    data: bytes


def parse_response(pdu: bytes) -> Response:
    """Take apart one whole PDU that carries no digests and no additional headers.

    :raises ValueError: the length of the data segment is not what the header says.
    """
    opcode = Opcode(pdu[0] & OPCODE_MASK)
    fields = LAYOUTS[opcode].parse(pdu)
    length = fields.lengths & 0xFFFFFF
    if len(pdu) != 48 + length + len(padding(length)):
        raise ValueError(f"PDU of {len(pdu)} bytes, its data segment is {length}")
    return Response(opcode, fields, pdu[48 : 48 + length])


def login_status(fields: LoginResponse) -> LoginStatus:
    """Return Status-Class and Status-Detail as one number."""
    return LoginStatus(fields.status_class << 8 | fields.status_detail)


def login_request(
    data: bytes,
    *,
    flags: int,
    isid: bytes = bytes.fromhex("40000001a5a5"),
    tsih: int = 0,
    itt: int = 0,
    cid: int = 0,
    cmd_sn: int = 0,
    exp_stat_sn: int = 0,
    version_max: int = 0,
    version_min: int = 0,
) -> bytes:
    """Return a Login Request; ``flags`` is byte 1 (T, C, CSG, NSG)."""
    header = LoginRequest(flags, version_max, version_min, len(data), isid, tsih, itt, cid, cmd_sn, exp_stat_sn)
    return LOGIN_REQUEST.build(header, immediate=True) + data + padding(len(data))


def text_request(
    data: bytes, *, itt: int, cmd_sn: int, exp_stat_sn: int, ttt: int = NO_TAG, flags: int = FINAL
) -> bytes:
    """Return a Text Request."""
    header = TextRequest(flags, len(data), 0, itt, ttt, cmd_sn, exp_stat_sn)
    return TEXT_REQUEST.build(header) + data + padding(len(data))


def scsi_command(
    cdb: bytes,
    *,
    flags: int,
    lun: int,
    itt: int,
    expected_length: int,
    cmd_sn: int,
    exp_stat_sn: int,
    data: bytes = b"",
    read_length: int | None = None,
    immediate: bool = False,
) -> bytes:
    """Return a SCSI Command with its additional headers and immediate data."""
    ahs = build_ahs(cdb[CDB_IN_HEADER:], read_length)
    lengths = (len(ahs) // 4) << 24 | len(data)
    in_header = cdb[:CDB_IN_HEADER].ljust(CDB_IN_HEADER, b"\0")
    header = ScsiCommand(flags, lengths, lun, itt, expected_length, cmd_sn, exp_stat_sn, in_header)
    return SCSI_COMMAND.build(header, immediate=immediate) + ahs + data + padding(len(data))


def data_out(
    data: bytes,
    *,
    flags: int,
    itt: int,
    exp_stat_sn: int,
    data_sn: int,
    buffer_offset: int,
    lun: int = 0,
    ttt: int = NO_TAG,
) -> bytes:
    """Return a Data-Out, solicited when ``ttt`` is that of an R2T."""
    header = DataOut(flags, len(data), lun, itt, ttt, exp_stat_sn, data_sn, buffer_offset)
    return DATA_OUT.build(header) + data + padding(len(data))


def nop_out(
    data: bytes = b"",
    *,
    itt: int,
    cmd_sn: int,
    exp_stat_sn: int,
    ttt: int = NO_TAG,
    lun: int = 0,
    immediate: bool = True,
) -> bytes:
    """Return a NOP-Out: a ping, or with ``ttt`` the answer to one."""
    header = NopOut(FINAL, len(data), lun, itt, ttt, cmd_sn, exp_stat_sn)
    return NOP_OUT.build(header, immediate=immediate) + data + padding(len(data))


def task_management_request(
    function: int,
    *,
    lun: int,
    itt: int,
    cmd_sn: int,
    exp_stat_sn: int,
    referenced_task_tag: int = NO_TAG,
    ref_cmd_sn: int = 0,
    immediate: bool = True,
) -> bytes:
    """Return a task management request."""
    header = TaskManagementRequest(
        FINAL | function, 0, lun, itt, referenced_task_tag, cmd_sn, exp_stat_sn, ref_cmd_sn, 0
    )
    return TASK_MANAGEMENT_REQUEST.build(header, immediate=immediate)


def logout_request(
    reason: int, *, itt: int, cmd_sn: int, exp_stat_sn: int, cid: int = 0, immediate: bool = True
) -> bytes:
    """Return a Logout Request."""
    header = LogoutRequest(FINAL | reason, 0, itt, cid, cmd_sn, exp_stat_sn)
    return LOGOUT_REQUEST.build(header, immediate=immediate)
