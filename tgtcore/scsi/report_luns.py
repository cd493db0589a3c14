"""REPORT LUNS parameter data (SPC-5 6.34)."""

from collections.abc import Iterable
from enum import IntEnum


class SelectReport(IntEnum):
    """Which logical units are asked for (SPC-5 table 273)."""

    ADDRESSABLE = 0x00
    WELL_KNOWN = 0x01
    ALL = 0x02
    ADMINISTRATIVE = 0x10
    ALL_ADMINISTRATIVE = 0x11
    SUBSIDIARY = 0x12


def report_luns_data(fields: Iterable[bytes]) -> bytes:
    """The parameter data with these 8-byte LUN fields."""
    body = b"".join(fields)
    return len(body).to_bytes(4, "big") + bytes(4) + body
