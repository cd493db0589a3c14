"""Every layout by its opcode."""

from typing import Any

from tgtcore_iscsi.pdu.codes import Opcode
from tgtcore_iscsi.pdu.layout import Layout
from tgtcore_iscsi.pdu.requests import (
    DATA_OUT,
    LOGIN_REQUEST,
    LOGOUT_REQUEST,
    NOP_OUT,
    SCSI_COMMAND,
    SNACK_REQUEST,
    TASK_MANAGEMENT_REQUEST,
    TEXT_REQUEST,
)
from tgtcore_iscsi.pdu.responses import (
    ASYNC_MESSAGE,
    DATA_IN,
    LOGIN_RESPONSE,
    LOGOUT_RESPONSE,
    NOP_IN,
    R2T_LAYOUT,
    REJECT,
    SCSI_RESPONSE,
    TASK_MANAGEMENT_RESPONSE,
    TEXT_RESPONSE,
)

LAYOUTS: "dict[int, Layout[Any]]" = {  # not evaluated: typing would keep the class for ever
    layout.opcode: layout
    for layout in (
        NOP_OUT,
        SCSI_COMMAND,
        TASK_MANAGEMENT_REQUEST,
        LOGIN_REQUEST,
        TEXT_REQUEST,
        DATA_OUT,
        LOGOUT_REQUEST,
        SNACK_REQUEST,
        NOP_IN,
        SCSI_RESPONSE,
        TASK_MANAGEMENT_RESPONSE,
        LOGIN_RESPONSE,
        TEXT_RESPONSE,
        DATA_IN,
        LOGOUT_RESPONSE,
        R2T_LAYOUT,
        ASYNC_MESSAGE,
        REJECT,
    )
}
REQUEST_OPCODES = frozenset(opcode for opcode in LAYOUTS if opcode < Opcode.NOP_IN)
"""What an initiator may send; anything else is rejected with COMMAND_NOT_SUPPORTED."""
