"""The header that all management datagrams have (LoPAR 17.2.3.2.2)."""

from enum import IntEnum
from struct import Struct

HEADER = Struct(">IHH8s")
"""Type, status, length of the record that it is about, tag."""

BUFFER = Struct(">Q")
"""Behind the header: the address of that record in the client's memory."""

DATAGRAM_BYTES_MAX = 256


class MadType(IntEnum):
    """What a datagram wants."""

    EMPTY_IU = 0x01
    ERROR_LOG = 0x02
    ADAPTER_INFO = 0x03
    HOST_CONFIG = 0x04
    CAPABILITIES = 0x05
    ENABLE_FAST_FAIL = 0x08


class MadStatus(IntEnum):
    """How it ended."""

    SUCCESS = 0x00
    NOT_SUPPORTED = 0xF1
    FAILED = 0xF7
