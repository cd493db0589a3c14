"""Designation descriptors: the names of a logical unit and of its ports (SPC-5 7.7.6)."""

import hashlib
from enum import IntEnum

from tgtcore.scsi.parameters import ascii_field


class Association(IntEnum):
    """What a designator names (SPC-5 table 598)."""

    LOGICAL_UNIT = 0
    TARGET_PORT = 1
    TARGET_DEVICE = 2


class DesignatorType(IntEnum):
    """Designator types (SPC-5 table 599)."""

    VENDOR_SPECIFIC = 0
    T10_VENDOR_ID = 1
    EUI_64 = 2
    NAA = 3
    RELATIVE_TARGET_PORT = 4
    TARGET_PORT_GROUP = 5
    LOGICAL_UNIT_GROUP = 6
    MD5 = 7
    SCSI_NAME_STRING = 8
    PROTOCOL_PORT = 9
    UUID = 10


_BINARY, _ASCII, _UTF8 = 1, 2, 3
_PIV = 0x80
_NAA_LOCALLY_ASSIGNED = 0x3


def designator(
    kind: DesignatorType, value: bytes, *, code_set: int, association: Association, protocol: int | None = None
) -> bytes:
    """One designation descriptor.

    :param protocol: protocol identifier, valid for ports and devices only.
    """
    if len(value) > 0xFF:
        raise ValueError(f"designator of {len(value)} bytes, at most 255 fit")
    first = code_set if protocol is None else protocol << 4 | code_set
    second = (0 if protocol is None else _PIV) | association << 4 | kind
    return bytes((first, second, 0, len(value))) + value


def t10_vendor_id(vendor: str, text: str) -> bytes:
    """T10 vendor identification and a vendor specific text of the logical unit."""
    value = ascii_field("vendor", vendor, 8) + text.encode("ascii")
    return designator(DesignatorType.T10_VENDOR_ID, value, code_set=_ASCII, association=Association.LOGICAL_UNIT)


def naa_locally_assigned(unique_id: bytes) -> bytes:
    """NAA 3h: 60 bits that no registration authority has given (SPC-5 7.7.6.6.4).

    They are a digest of the whole id: ids that differ in their last byte only must not look like paths to one logical unit.
    """
    number = int.from_bytes(hashlib.sha256(unique_id).digest()[:8], "big") & (1 << 60) - 1
    value = (_NAA_LOCALLY_ASSIGNED << 60 | number).to_bytes(8, "big")
    return designator(DesignatorType.NAA, value, code_set=_BINARY, association=Association.LOGICAL_UNIT)


def uuid_designator(unique_id: bytes) -> bytes:
    """The unique id as a UUID (SPC-5 7.7.6.13).

    :raises ValueError: it has not 16 bytes.
    """
    if len(unique_id) != 16:
        raise ValueError(f"unique id of {len(unique_id)} bytes, expected 16")
    value = b"\x10\0" + unique_id
    return designator(DesignatorType.UUID, value, code_set=_BINARY, association=Association.LOGICAL_UNIT)


def relative_target_port(number: int, protocol: int) -> bytes:
    """Relative target port identifier of the port that the command came through."""
    value = bytes(2) + number.to_bytes(2, "big")
    return designator(
        DesignatorType.RELATIVE_TARGET_PORT,
        value,
        code_set=_BINARY,
        association=Association.TARGET_PORT,
        protocol=protocol,
    )


def target_port_group(number: int, protocol: int) -> bytes:
    """Target port group of the port that the command came through."""
    value = bytes(2) + number.to_bytes(2, "big")
    return designator(
        DesignatorType.TARGET_PORT_GROUP,
        value,
        code_set=_BINARY,
        association=Association.TARGET_PORT,
        protocol=protocol,
    )


def scsi_name_string(name: str, association: Association, protocol: int | None = None) -> bytes:
    """A SCSI name string (UTF-8, ended by NUL, filled to a multiple of four)."""
    text = name.encode() + b"\0"
    value = text.ljust((len(text) + 3) & ~3, b"\0")
    return designator(
        DesignatorType.SCSI_NAME_STRING, value, code_set=_UTF8, association=association, protocol=protocol
    )
