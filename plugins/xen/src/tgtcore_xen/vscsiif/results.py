"""The result field of a response: what has become of a request (vscsiif.h: XEN_VSCSIIF_RSLT)."""

from enum import IntEnum
from typing import Final


class Host(IntEnum):
    """The host byte, bits 16 to 23: what has happened on the way to the device."""

    OK = 0
    NO_CONNECT = 1
    BUS_BUSY = 2
    TIME_OUT = 3
    BAD_TARGET = 4
    ABORT = 5
    PARITY = 6
    ERROR = 7
    RESET = 8
    BAD_INTR = 9
    PASSTHROUGH = 10
    SOFT_ERROR = 11
    IMM_RETRY = 12
    REQUEUE = 13
    TRANSPORT_DISRUPTED = 14
    TRANSPORT_FAILFAST = 15


SUCCEEDED: Final = 0x2002
FAILED: Final = 0x2003
"""How abort and reset have ended."""


def result(host: int, status: int = 0) -> int:
    """The field of a command.

    :param status: of SAM, as far as the device was reached.
    """
    return host << 16 | status


def host_of(field: int) -> int:
    """The host byte of a result."""
    return field >> 16 & 0xFF


def status_of(field: int) -> int:
    """The SCSI status of a result."""
    return field & 0xFF
