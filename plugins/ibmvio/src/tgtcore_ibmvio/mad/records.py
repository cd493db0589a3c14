"""What client and server tell each other of themselves: records in the client's memory."""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

_ADAPTER_INFO = Struct(">8s96sIII8I")
ADAPTER_INFO_BYTES = _ADAPTER_INFO.size
MAD_VERSION = 1
_SRP_VERSION = b"16.a"
_NAME_BYTES_MAX = 96

_CAPABILITIES = Struct(">I32s32s")
_CAPABILITY = Struct(">IHH")
"""Type, length of the entry, whether the server has it."""

CAPABILITIES_BYTES_MIN = _CAPABILITIES.size
CAPABILITIES_BYTES_MAX = 256


class OsType(IntEnum):
    """Operating systems in the adapter information."""

    OS400 = 1
    LINUX = 2
    AIX = 3
    OPEN_FIRMWARE = 4


_OS_NAMES = {int(one): one.name for one in OsType}


class Capability(IntEnum):
    """Entries of the capabilities."""

    MIGRATION = 1
    RESERVATION = 2


_LIST_SUPPORTED, _LIST_DATA = 4, 8
_SERVED = frozenset((Capability.MIGRATION, Capability.RESERVATION))
"""The queue is taken up again after a migration, and RESERVE and RELEASE of SCSI-2 are there."""


@dataclass(frozen=True)
class PartnerRecord:
    """What a partner says of itself: nothing that may be relied on.

    :param transfer_bytes_max: the most data of one command.
    """

    srp_version: str
    partition_name: str
    partition_number: int
    mad_version: int
    os_type: int
    transfer_bytes_max: int

    @classmethod
    def parse(cls, data: memoryview) -> "PartnerRecord":
        """From the adapter information; ``data`` has :data:`ADAPTER_INFO_BYTES`."""
        srp, name, number, mad_version, os_type, transfer, *_ = _ADAPTER_INFO.unpack(data)
        return cls(_text(srp), _text(name), number, mad_version, os_type, transfer)

    @property
    def os_name(self) -> str:
        """The operating system in words."""
        return _OS_NAMES.get(self.os_type, str(self.os_type))


def adapter_info(name: str, number: int, os_type: OsType, transfer_bytes_max: int) -> bytes:
    """What a server says of itself."""
    written = name.encode("ascii", "replace")[:_NAME_BYTES_MAX]
    rest = (0,) * 7
    return _ADAPTER_INFO.pack(_SRP_VERSION, written, number, MAD_VERSION, os_type, transfer_bytes_max, *rest)


def answer_capabilities(data: memoryview, name: str) -> bool:
    """Write into a client's capabilities which of them the server has; False when their lengths make no sense.

    :param name: the server's, which takes the place of the client's.
    """
    flags, _, location = _CAPABILITIES.unpack_from(data)
    at = _CAPABILITIES.size
    while at < len(data):
        if len(data) - at < _CAPABILITY.size:
            return False
        kind, length, _ = _CAPABILITY.unpack_from(data, at)
        if not _CAPABILITY.size <= length <= len(data) - at:
            return False
        _CAPABILITY.pack_into(data, at, kind, length, int(kind in _SERVED))
        at += length
    _CAPABILITIES.pack_into(data, 0, flags & (_LIST_SUPPORTED | _LIST_DATA), name.encode("ascii", "replace"), location)
    return True


def _text(field: bytes) -> str:
    """A text as it may stand in a log: other bytes than printable ones are shown as ``?``."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in field.partition(b"\0")[0])
