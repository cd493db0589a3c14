"""Numbers on the wire: opcodes, flags, functions, reasons and responses (RFC 7143 clause 11)."""

import enum
from typing import Final

IMMEDIATE: Final = 0x40
"""Byte 0 of a request: immediate delivery, outside the CmdSN order."""
OPCODE_MASK: Final = 0x3F
FINAL: Final = 0x80
"""Byte 1: last PDU of a sequence."""
NO_TAG: Final = 0xFFFFFFFF
"""The reserved initiator task tag and target transfer tag."""

# SCSI Command, byte 1 (11.3.1)
COMMAND_READ: Final = 0x40
COMMAND_WRITE: Final = 0x20
COMMAND_ATTRIBUTE_MASK: Final = 0x07

# SCSI Response (11.4.1) and Data-In (11.7.1), byte 1
RESIDUAL_OVERFLOW: Final = 0x04
RESIDUAL_UNDERFLOW: Final = 0x02
BIDI_READ_OVERFLOW: Final = 0x10
BIDI_READ_UNDERFLOW: Final = 0x08
BIDI_RESIDUAL_SHIFT: Final = 2
"""From the residual bits of a transfer to those of the read of a bidirectional command."""
DATA_IN_ACKNOWLEDGE: Final = 0x40
DATA_IN_STATUS: Final = 0x01

# Login (11.12, 11.13) and Text (11.10, 11.11), byte 1
LOGIN_TRANSIT: Final = 0x80
TEXT_CONTINUE: Final = 0x40
LOGIN_CONTINUE: Final = TEXT_CONTINUE

FUNCTION_MASK: Final = 0x7F
"""Byte 1 of a task management or logout request below the F bit."""


class Opcode(enum.IntEnum):
    """Byte 0 of the basic header segment without the I bit (11.2.1.2)."""

    NOP_OUT = 0x00
    SCSI_COMMAND = 0x01
    TASK_MANAGEMENT_REQUEST = 0x02
    LOGIN_REQUEST = 0x03
    TEXT_REQUEST = 0x04
    DATA_OUT = 0x05
    LOGOUT_REQUEST = 0x06
    SNACK_REQUEST = 0x10
    NOP_IN = 0x20
    SCSI_RESPONSE = 0x21
    TASK_MANAGEMENT_RESPONSE = 0x22
    LOGIN_RESPONSE = 0x23
    TEXT_RESPONSE = 0x24
    DATA_IN = 0x25
    LOGOUT_RESPONSE = 0x26
    R2T = 0x31
    ASYNC_MESSAGE = 0x32
    REJECT = 0x3F


class Tmf(enum.IntEnum):
    """Function of a task management request (11.5.1)."""

    ABORT_TASK = 1
    ABORT_TASK_SET = 2
    CLEAR_ACA = 3
    CLEAR_TASK_SET = 4
    LOGICAL_UNIT_RESET = 5
    TARGET_WARM_RESET = 6
    TARGET_COLD_RESET = 7
    TASK_REASSIGN = 8


class TmfResponse(enum.IntEnum):
    """Response of a task management response (11.6.1)."""

    FUNCTION_COMPLETE = 0
    TASK_DOES_NOT_EXIST = 1
    LUN_DOES_NOT_EXIST = 2
    TASK_STILL_ALLEGIANT = 3
    TASK_ALLEGIANCE_REASSIGNMENT_NOT_SUPPORTED = 4
    FUNCTION_NOT_SUPPORTED = 5
    FUNCTION_AUTHORIZATION_FAILED = 6
    FUNCTION_REJECTED = 255


class LogoutReason(enum.IntEnum):
    """Reason of a logout request (11.14.1)."""

    CLOSE_SESSION = 0
    CLOSE_CONNECTION = 1
    REMOVE_CONNECTION_FOR_RECOVERY = 2


class LogoutResult(enum.IntEnum):
    """Response of a logout response (11.15.1)."""

    CLOSED = 0
    CID_NOT_FOUND = 1
    RECOVERY_NOT_SUPPORTED = 2
    CLEANUP_FAILED = 3


class AsyncEvent(enum.IntEnum):
    """AsyncEvent of an asynchronous message (11.9.1)."""

    SCSI_EVENT = 0
    LOGOUT_REQUESTED = 1
    CONNECTION_DROPPED = 2
    SESSION_DROPPED = 3
    NEGOTIATION_REQUESTED = 4
    TASKS_TERMINATED = 5


class RejectReason(enum.IntEnum):
    """Reason of a Reject (11.17.1)."""

    DATA_DIGEST_ERROR = 0x02
    SNACK_REJECT = 0x03
    PROTOCOL_ERROR = 0x04
    COMMAND_NOT_SUPPORTED = 0x05
    IMMEDIATE_COMMAND_REJECT = 0x06
    TASK_IN_PROGRESS = 0x07
    INVALID_DATA_ACK = 0x08
    INVALID_PDU_FIELD = 0x09
    OUT_OF_RESOURCES = 0x0A
    NEGOTIATION_RESET = 0x0B
    WAITING_FOR_LOGOUT = 0x0C


class Stage(enum.IntEnum):
    """CSG and NSG of a login (11.12.3)."""

    SECURITY = 0
    OPERATIONAL = 1
    FULL_FEATURE = 3


class LoginStatus(enum.IntEnum):
    """Status-Class and Status-Detail of a login response, as one number (11.13.5)."""

    SUCCESS = 0x0000
    TARGET_MOVED_TEMPORARILY = 0x0101
    TARGET_MOVED_PERMANENTLY = 0x0102
    INITIATOR_ERROR = 0x0200
    AUTHENTICATION_FAILURE = 0x0201
    AUTHORIZATION_FAILURE = 0x0202
    NOT_FOUND = 0x0203
    TARGET_REMOVED = 0x0204
    UNSUPPORTED_VERSION = 0x0205
    TOO_MANY_CONNECTIONS = 0x0206
    MISSING_PARAMETER = 0x0207
    CANNOT_INCLUDE_IN_SESSION = 0x0208
    SESSION_TYPE_NOT_SUPPORTED = 0x0209
    SESSION_DOES_NOT_EXIST = 0x020A
    INVALID_DURING_LOGIN = 0x020B
    TARGET_ERROR = 0x0300
    SERVICE_UNAVAILABLE = 0x0301
    OUT_OF_RESOURCES = 0x0302
