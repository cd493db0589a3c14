"""The codes in information units, by the names of the standard (SRP r16a, clause 6)."""

from enum import IntEnum, IntFlag


class Opcode(IntEnum):
    """The first byte: what kind of information unit (table 8)."""

    LOGIN_REQ = 0x00
    TSK_MGMT = 0x01
    CMD = 0x02
    I_LOGOUT = 0x03
    CRED_RSP = 0x41
    AER_RSP = 0x42
    T_LOGOUT = 0x80
    CRED_REQ = 0x81
    AER_REQ = 0x82
    LOGIN_RSP = 0xC0
    RSP = 0xC1
    LOGIN_REJ = 0xC2


class BufferFormat(IntEnum):
    """How a request names a data buffer: one half of the buffer format byte of SRP_CMD."""

    NONE = 0
    DIRECT = 1
    """One memory descriptor."""
    INDIRECT = 2
    """A table of memory descriptors."""
    IMMEDIATE = 3
    """The data is in the information unit (SRP-2, data-out only)."""


class BufferFormats(IntFlag):
    """Which formats a port requires, supports or must have: of login requests and their answers."""

    DIRECT = 0x0002
    INDIRECT = 0x0004


class MultiChannelAction(IntEnum):
    """What a login is to do to other channels of the same I_T nexus."""

    SINGLE = 0
    """End them."""
    MULTI = 1
    """Leave them alone."""


class MultiChannelResult(IntEnum):
    """What a login has done to other channels of the same I_T nexus."""

    NO_CHANNELS = 0
    TERMINATED = 1
    MAINTAINED = 2


class LoginRequestFlag(IntFlag):
    """The bits beside the multi-channel action in SRP_LOGIN_REQ."""

    LOSOLNT = 0x10
    """Target logouts are to be solicited notifications."""
    CRSOLNT = 0x20
    """Credit requests are to be."""
    AESOLNT = 0x40
    """Reports of asynchronous events are to be."""
    IMMEDIATE = 0x80
    """Immediate data is wanted (SRP-2)."""


class LoginResponseFlag(IntFlag):
    """The bits beside the multi-channel result in SRP_LOGIN_RSP."""

    SOLNTSUP = 0x10
    """Solicited notifications are supported."""
    IMMEDIATE = 0x80
    """Immediate data is accepted (SRP-2)."""


class RejectReason(IntEnum):
    """Why a login is rejected."""

    UNABLE_TO_ESTABLISH_CHANNEL = 0x00010000
    INSUFFICIENT_RESOURCES = 0x00010001
    IU_LENGTH_TOO_LARGE = 0x00010002
    """The length that the initiator requires for what it sends."""
    UNABLE_TO_ASSOCIATE = 0x00010003
    """No I_T nexus between these ports."""
    UNSUPPORTED_FORMAT = 0x00010004
    MULTI_CHANNEL_UNSUPPORTED = 0x00010005
    CHANNEL_LIMIT_REACHED = 0x00010006


class LogoutReason(IntEnum):
    """Why a target ends a channel."""

    NONE = 0
    INACTIVE = 1
    INVALID_TYPE = 2
    """Of an information unit that the target has received."""
    UNEXPECTED_RESPONSE = 3
    """The initiator has answered what nobody asked."""
    MULTI_CHANNEL_ACTION = 4
    """Of a new login of the same I_T nexus."""
    UNSUPPORTED_OUT_FORMAT = 6
    UNSUPPORTED_IN_FORMAT = 7
    INVALID_LENGTH = 8
    """Of an information unit, for its type."""


class TaskAttribute(IntEnum):
    """How a command is queued: the low three bits of that byte."""

    SIMPLE = 0
    HEAD_OF_QUEUE = 1
    ORDERED = 2
    ACA = 4


class TaskManagementFunction(IntEnum):
    """The function of SRP_TSK_MGMT."""

    ABORT_TASK = 0x01
    ABORT_TASK_SET = 0x02
    CLEAR_TASK_SET = 0x04
    LOGICAL_UNIT_RESET = 0x08
    CLEAR_ACA = 0x40


class ResponseCode(IntEnum):
    """RSP_CODE: how a task management function, or a request that could not be understood, ended."""

    COMPLETE = 0
    """The task management function is complete; no failure."""
    REQUEST_FIELDS_INVALID = 2
    NOT_SUPPORTED = 4
    """The task management function."""
    FAILED = 5
    """The task management function."""


class ResponseFlag(IntFlag):
    """What SRP_RSP carries, and on which side of the buffers' lengths the command ended."""

    RSPVALID = 0x01
    SNSVALID = 0x02
    DOOVER = 0x04
    DOUNDER = 0x08
    DIOVER = 0x10
    DIUNDER = 0x20


class Solicited(IntFlag):
    """The byte behind the opcode: which answers an initiator wants to be woken for, and whether this is one."""

    SOLNT = 0x01
    """In what a target sends: this is a solicited notification."""
    SCSOLNT = 0x02
    """In a request: the answer is to be one if the request succeeds."""
    UCSOLNT = 0x04
    """In a request: the answer is to be one if the request fails."""
