"""Headers of the PDUs that a target sends; ``lengths`` as in :mod:`.requests`."""

from typing import Final, NamedTuple

from tgtcore_iscsi.pdu.codes import Opcode
from tgtcore_iscsi.pdu.layout import Layout


class NopIn(NamedTuple):
    """11.19."""

    flags: int
    lengths: int
    lun: int
    itt: int
    ttt: int
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int


class ScsiResponse(NamedTuple):
    """11.4."""

    flags: int
    response: int
    status: int
    lengths: int
    itt: int
    snack_tag: int
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int
    exp_data_sn: int
    bidi_residual: int
    residual: int


class TaskManagementResponse(NamedTuple):
    """11.6."""

    flags: int
    response: int
    lengths: int
    itt: int
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int


class LoginResponse(NamedTuple):
    """11.13."""

    flags: int
    version_max: int
    version_active: int
    lengths: int
    isid: bytes
    tsih: int
    itt: int
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int
    status_class: int
    status_detail: int


class TextResponse(NamedTuple):
    """11.11."""

    flags: int
    lengths: int
    lun: int
    itt: int
    ttt: int
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int


class DataIn(NamedTuple):
    """11.7."""

    flags: int
    status: int
    lengths: int
    lun: int
    itt: int
    ttt: int
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int
    data_sn: int
    buffer_offset: int
    residual: int


class LogoutResponse(NamedTuple):
    """11.15; times in seconds."""

    flags: int
    response: int
    lengths: int
    itt: int
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int
    time2wait: int
    time2retain: int


class R2T(NamedTuple):
    """11.8."""

    flags: int
    lengths: int
    lun: int
    itt: int
    ttt: int
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int
    r2t_sn: int
    buffer_offset: int
    desired_length: int


class AsyncMessage(NamedTuple):
    """11.9; ``itt`` is FFFFFFFFh."""

    flags: int
    lengths: int
    lun: int
    itt: int
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int
    event: int
    vendor_code: int
    parameter1: int
    parameter2: int
    parameter3: int


class Reject(NamedTuple):
    """11.17; ``itt`` is FFFFFFFFh, the data segment is the header that was refused."""

    flags: int
    reason: int
    lengths: int
    itt: int
    stat_sn: int
    exp_cmd_sn: int
    max_cmd_sn: int
    data_sn: int


NOP_IN: Final = Layout(Opcode.NOP_IN, NopIn, "B2xIQIIIII12x")
SCSI_RESPONSE: Final = Layout(Opcode.SCSI_RESPONSE, ScsiResponse, "BBBI8xIIIIIIII")
TASK_MANAGEMENT_RESPONSE: Final = Layout(Opcode.TASK_MANAGEMENT_RESPONSE, TaskManagementResponse, "BBxI8xI4xIII12x")
LOGIN_RESPONSE: Final = Layout(Opcode.LOGIN_RESPONSE, LoginResponse, "BBBI6sHI4xIIIBB10x")
TEXT_RESPONSE: Final = Layout(Opcode.TEXT_RESPONSE, TextResponse, "B2xIQIIIII12x")
DATA_IN: Final = Layout(Opcode.DATA_IN, DataIn, "BxBIQIIIIIIII")
LOGOUT_RESPONSE: Final = Layout(Opcode.LOGOUT_RESPONSE, LogoutResponse, "BBxI8xI4xIII4xHH4x")
R2T_LAYOUT: Final = Layout(Opcode.R2T, R2T, "B2xIQIIIIIIII")
ASYNC_MESSAGE: Final = Layout(Opcode.ASYNC_MESSAGE, AsyncMessage, "B2xIQI4xIIIBBHHH4x")
REJECT: Final = Layout(Opcode.REJECT, Reject, "BBxI8xI4xIIII8x")
