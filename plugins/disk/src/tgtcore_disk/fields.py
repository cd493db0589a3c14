"""Where the commands that name a range of blocks keep it: (logical block address, number of blocks, byte 1)."""

import struct
from collections.abc import Callable

Fields = tuple[int, int, int]

_unpack_10 = struct.Struct(">BBIBHB").unpack_from
_unpack_12 = struct.Struct(">BBIIBB").unpack_from
_unpack_16 = struct.Struct(">BBQIBB").unpack_from


def _fields_6(cdb: bytes) -> Fields:
    """READ (6) and WRITE (6): 21 bits of address; zero means 256 blocks; byte 1 has no flags."""
    return int.from_bytes(cdb[1:4], "big") & 0x1FFFFF, cdb[4] or 256, 0


def _fields_10(cdb: bytes) -> Fields:
    _, flags, lba, _, blocks, _ = _unpack_10(cdb)
    return lba, blocks, flags


def _fields_12(cdb: bytes) -> Fields:
    _, flags, lba, blocks, _, _ = _unpack_12(cdb)
    return lba, blocks, flags


def _fields_16(cdb: bytes) -> Fields:
    _, flags, lba, blocks, _, _ = _unpack_16(cdb)
    return lba, blocks, flags


_BY_GROUP: dict[int, tuple[Callable[[bytes], Fields], int]] = {
    0: (_fields_6, 4),
    1: (_fields_10, 7),
    2: (_fields_10, 7),
    4: (_fields_16, 10),
    5: (_fields_12, 6),
}
"""Group code (SPC-5 4.2.5.1): how to read the fields, and where the number of blocks begins."""


def _group(opcode: int) -> tuple[Callable[[bytes], Fields], int]:
    return _BY_GROUP.get(opcode >> 5, (_fields_6, 4))


fields_of: list[Callable[[bytes], Fields]] = [_group(opcode)[0] for opcode in range(256)]
"""By opcode."""


def length_byte(opcode: int) -> int:
    """Where the number of blocks begins in a CDB."""
    return _group(opcode)[1]
