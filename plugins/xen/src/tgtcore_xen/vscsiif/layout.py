"""Where everything is in the page of a ring, and every number of the protocol (vscsiif.h, ring.h).  Fields are little-endian."""

from enum import IntEnum
from typing import Final

PAGE_BYTES: Final = 4096
HEADER_BYTES: Final = 64
"""Four indexes of 32 bits; the rest is padding."""
SLOT_BYTES: Final = 252
"""A request, or the response in its place."""
SLOTS: Final = 16
"""The power of two that fits behind the header."""
INDEX_MASK: Final = 0xFFFF_FFFF
"""Indexes count on through 32 bits; the slot is what the lowest bits say."""

REQUEST_PRODUCER: Final = 0
REQUEST_EVENT: Final = 1
RESPONSE_PRODUCER: Final = 2
RESPONSE_EVENT: Final = 3
"""The indexes as the header has them: which of its 32-bit words."""

CDB_BYTES: Final = 16
SENSE_BYTES: Final = 96
ACT_AT: Final = 2
"""Where a request says what it asks for."""
SEGMENTS_AT: Final = 32
"""Where the segment records of a request begin."""
SEGMENT_BYTES: Final = 8
"""A segment record: grant reference (32 bits), offset (16 bits), length (16 bits)."""
SEGMENTS: Final = 26
"""How many segment records a request has room for."""
INDIRECT: Final = 0x80
"""In the number of segments: the records say where the real ones are."""


class Act(IntEnum):
    """What a request asks for."""

    COMMAND = 1
    ABORT = 2
    RESET = 3


class Direction(IntEnum):
    """Where the data of a command goes."""

    BOTH = 0
    TO_DEVICE = 1
    FROM_DEVICE = 2
    NONE = 3
