"""Headers of the PDUs that an initiator sends.

``lengths`` is the second word of every header: TotalAHSLength (in four-byte words) in its top byte,
DataSegmentLength below.  Reserved bytes are sent as zero and not looked at.
"""

from typing import Final, NamedTuple

from tgtcore_iscsi.pdu.codes import Opcode
from tgtcore_iscsi.pdu.layout import Layout


class NopOut(NamedTuple):
    """11.18."""

    flags: int
    lengths: int
    lun: int
    itt: int
    ttt: int
    cmd_sn: int
    exp_stat_sn: int


class ScsiCommand(NamedTuple):
    """11.3; ``cdb`` is the first 16 bytes, a longer one continues in an AHS."""

    flags: int
    lengths: int
    lun: int
    itt: int
    expected_length: int
    cmd_sn: int
    exp_stat_sn: int
    cdb: bytes


class TaskManagementRequest(NamedTuple):
    """11.5; ``flags`` holds the F bit and the function."""

    flags: int
    lengths: int
    lun: int
    itt: int
    referenced_task_tag: int
    cmd_sn: int
    exp_stat_sn: int
    ref_cmd_sn: int
    exp_data_sn: int


class LoginRequest(NamedTuple):
    """11.12."""

    flags: int
    version_max: int
    version_min: int
    lengths: int
    isid: bytes
    tsih: int
    itt: int
    cid: int
    cmd_sn: int
    exp_stat_sn: int


class TextRequest(NamedTuple):
    """11.10."""

    flags: int
    lengths: int
    lun: int
    itt: int
    ttt: int
    cmd_sn: int
    exp_stat_sn: int


class DataOut(NamedTuple):
    """11.7."""

    flags: int
    lengths: int
    lun: int
    itt: int
    ttt: int
    exp_stat_sn: int
    data_sn: int
    buffer_offset: int


class LogoutRequest(NamedTuple):
    """11.14; ``flags`` holds the F bit and the reason."""

    flags: int
    lengths: int
    itt: int
    cid: int
    cmd_sn: int
    exp_stat_sn: int


class SnackRequest(NamedTuple):
    """11.16."""

    flags: int
    lengths: int
    lun: int
    itt: int
    ttt: int
    exp_stat_sn: int
    beg_run: int
    run_length: int


NOP_OUT: Final = Layout(Opcode.NOP_OUT, NopOut, "B2xIQIIII16x")
SCSI_COMMAND: Final = Layout(Opcode.SCSI_COMMAND, ScsiCommand, "B2xIQIIII16s")
TASK_MANAGEMENT_REQUEST: Final = Layout(Opcode.TASK_MANAGEMENT_REQUEST, TaskManagementRequest, "B2xIQIIIIII8x")
LOGIN_REQUEST: Final = Layout(Opcode.LOGIN_REQUEST, LoginRequest, "BBBI6sHIH2xII16x")
TEXT_REQUEST: Final = Layout(Opcode.TEXT_REQUEST, TextRequest, "B2xIQIIII16x")
DATA_OUT: Final = Layout(Opcode.DATA_OUT, DataOut, "B2xIQII4xI4xII4x")
LOGOUT_REQUEST: Final = Layout(Opcode.LOGOUT_REQUEST, LogoutRequest, "B2xI8xIH2xII16x")
SNACK_REQUEST: Final = Layout(Opcode.SNACK_REQUEST, SnackRequest, "B2xIQII4xI8xII")
