"""What all information units begin with: the opcode at byte 0 and the tag at bytes 8 to 15."""

import struct
from typing import Final

from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.opcodes import LogoutReason, Opcode

Unit = bytes | bytearray | memoryview
"""Memory with an information unit in it."""

HEADER_BYTES: Final = 16
"""The shortest information unit."""

_OPCODE_AND_TAG = struct.Struct(">B7xQ")


def opcode_and_tag(unit: Unit) -> tuple[int, int]:
    """What kind of unit this may be, and its tag: the eight bytes as a big-endian number, though it is opaque.

    :raises Malformed: less than 16 bytes.
    """
    if len(unit) < HEADER_BYTES:
        raise too_short("SRP information unit", len(unit), HEADER_BYTES)
    opcode, tag = _OPCODE_AND_TAG.unpack_from(unit)
    return opcode, tag


def check(unit: Unit, opcode: Opcode, least: int, opcode_at: int = 0) -> None:
    """Be sure that this is a unit of that kind and long enough.

    :raises Malformed: it is not.
    """
    if len(unit) < least:
        raise too_short(name(opcode), len(unit), least)
    if unit[opcode_at] != opcode:
        raise wrong_opcode(opcode, unit[opcode_at])


def name(opcode: Opcode) -> str:
    """What the standard calls information units of this kind."""
    return f"SRP_{opcode.name}"


def too_short(iu: str, found: int, least: int) -> Malformed:
    """The error for a unit that ends too early; lengths in bytes."""
    return Malformed(iu, "length", found, f"{least} bytes or more", LogoutReason.INVALID_LENGTH)


def wrong_opcode(expected: Opcode, found: int) -> Malformed:
    """The error for a unit of another kind."""
    return Malformed(name(expected), "opcode", f"{found:#04x}", f"{expected:#04x}", LogoutReason.INVALID_TYPE)
