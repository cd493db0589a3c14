"""CDBs that the oracles send (SBC-4, SPC-5), written out independently of the code under test."""

import struct

BLOCK_BYTES = 512
_FUA = 0x08


def read16(lba: int, blocks: int) -> bytes:
    """READ (16)."""
    return struct.pack(">BBQLBB", 0x88, 0, lba, blocks, 0, 0)


def write16(lba: int, blocks: int, *, fua: bool = False) -> bytes:
    """WRITE (16)."""
    return struct.pack(">BBQLBB", 0x8A, _FUA if fua else 0, lba, blocks, 0, 0)


def compare_and_write(lba: int, blocks: int, *, fua: bool = False) -> bytes:
    """COMPARE AND WRITE; its data-out holds the compared blocks and then the written ones."""
    return struct.pack(">BBQLBB", 0x89, _FUA if fua else 0, lba, blocks, 0, 0)


def write_and_verify16(lba: int, blocks: int) -> bytes:
    """WRITE AND VERIFY (16)."""
    return struct.pack(">BBQLBB", 0x8E, 0, lba, blocks, 0, 0)


def write_same16(lba: int, blocks: int) -> bytes:
    """WRITE SAME (16); its data-out is one block."""
    return struct.pack(">BBQLBB", 0x93, 0, lba, blocks, 0, 0)


def synchronize_cache10() -> bytes:
    """SYNCHRONIZE CACHE (10), the whole medium."""
    return struct.pack(">BBLBHB", 0x35, 0, 0, 0, 0, 0)


def synchronize_cache16() -> bytes:
    """SYNCHRONIZE CACHE (16), the whole medium."""
    return struct.pack(">BBQLBB", 0x91, 0, 0, 0, 0, 0)


def test_unit_ready() -> bytes:
    """TEST UNIT READY."""
    return bytes(6)


def inquiry(length: int = 255, page: int | None = None) -> bytes:
    """INQUIRY, standard data or a VPD page."""
    return struct.pack(">BBBHB", 0x12, int(page is not None), page or 0, length, 0)


def read_capacity16() -> bytes:
    """READ CAPACITY (16), 32 bytes."""
    return struct.pack(">BBQLBB", 0x9E, 0x10, 0, 32, 0, 0)


def mode_sense6(page: int, length: int = 255) -> bytes:
    """MODE SENSE (6), current values, without block descriptors."""
    return struct.pack(">BBBBBB", 0x1A, 0x08, page, 0, length, 0)


def mode_select6(length: int) -> bytes:
    """MODE SELECT (6) of pages in the format of the standard."""
    return struct.pack(">BBBBBB", 0x15, 0x10, 0, 0, length, 0)


def report_luns(length: int = 512) -> bytes:
    """REPORT LUNS, all of them."""
    return struct.pack(">BBBBBBLBB", 0xA0, 0, 0, 0, 0, 0, length, 0, 0)


def unmap(length: int) -> bytes:
    """UNMAP with a parameter list of so many bytes."""
    return struct.pack(">BBLBHB", 0x42, 0, 0, 0, length, 0)


def unmap_list(lba: int, blocks: int) -> bytes:
    """The parameter list of UNMAP with one descriptor."""
    return struct.pack(">HHLQLL", 22, 16, 0, lba, blocks, 0)
