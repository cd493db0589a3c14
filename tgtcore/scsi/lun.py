"""LUN fields: the 8-byte forms in which a logical unit number travels (SAM-5 4.7)."""

from enum import IntEnum

from tgtcore.limits import LUNS_PER_TARGET_MAX

REPORT_LUNS_WELL_KNOWN = bytes.fromhex("c101000000000000")
"""The REPORT LUNS well known logical unit (SAM-5 4.7.7.5.1, SPC-5 8.2)."""

_PERIPHERAL_MAX = 0xFF


class Method(IntEnum):
    """Address methods: the two top bits of the first byte (SAM-5 table 14)."""

    PERIPHERAL_DEVICE = 0
    FLAT_SPACE = 1
    LOGICAL_UNIT = 2
    EXTENDED = 3


class InvalidLun(ValueError):
    """The field names no logical unit that this target could have."""


def encode_lun(lun: int) -> bytes:
    """The canonical form: peripheral device addressing below 256, flat space addressing above.

    :raises InvalidLun: out of range.
    """
    if not 0 <= lun < LUNS_PER_TARGET_MAX:
        raise InvalidLun(f"LUN {lun} is out of range, expected 0 to {LUNS_PER_TARGET_MAX - 1}")
    first = lun if lun <= _PERIPHERAL_MAX else lun | Method.FLAT_SPACE << 14
    return first.to_bytes(2, "big") + bytes(6)


def decode_lun(field: bytes) -> int:
    """The number in a field of any single-level form.

    :raises InvalidLun: another level, another bus, a well known or an extended form that is not flat.
    """
    if len(field) != 8:
        raise InvalidLun(f"LUN field of {len(field)} bytes, expected 8")
    first = int.from_bytes(field[:2], "big")
    method, number = Method(first >> 14), first & 0x3FFF
    if method is Method.EXTENDED and field[0] == 0xD2:  # extended flat space, length 1: 24 bits
        number = int.from_bytes(field[1:4], "big")
        rest = field[4:]
    else:
        rest = field[2:]
        if method not in (Method.PERIPHERAL_DEVICE, Method.FLAT_SPACE):
            raise InvalidLun(f"LUN field {field.hex()} uses an address method that is not supported")
        if method is Method.PERIPHERAL_DEVICE and number > _PERIPHERAL_MAX:
            raise InvalidLun(f"LUN field {field.hex()} names bus {number >> 8}, expected bus 0")
    if any(rest) or number >= LUNS_PER_TARGET_MAX:
        raise InvalidLun(f"LUN field {field.hex()} names a second level or a number that is too large")
    return number
