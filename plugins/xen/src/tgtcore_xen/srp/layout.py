"""Where an information unit of SRP is in a slot of the ring, and what memory descriptors mean (docs/reference/xen-srp.md)."""

import struct
from collections.abc import Sequence
from typing import Final

from tgtcore_srp.fabric import Segment

from tgtcore_xen.vscsiif.errors import Malformed
from tgtcore_xen.vscsiif.layout import PAGE_BYTES, SLOT_BYTES, SLOTS

PROTOCOL: Final = "srp"
"""What a front end writes into its node ``protocol``."""

_LENGTH = struct.Struct("<H2x")
IU_BYTES_MAX: Final = SLOT_BYTES - _LENGTH.size
"""The longest information unit, in both directions."""
REQUEST_LIMIT: Final = SLOTS - 1
"""So many requests may be without an answer; one slot is left for a logout."""

EMPTY: Final = bytes(SLOT_BYTES)
"""In the place of an answer: there is none, and the slot is free."""


def build_slot(unit: bytes) -> bytes:
    """A slot with an information unit."""
    return (_LENGTH.pack(len(unit)) + unit).ljust(SLOT_BYTES, b"\0")


def parse_slot(slot: bytes) -> memoryview:
    """The information unit in a slot; empty: there is none.

    :raises Malformed: it is longer than the slot.
    """
    (length,) = _LENGTH.unpack_from(slot)
    if length > IU_BYTES_MAX:
        raise Malformed("the length of an information unit", length, f"{IU_BYTES_MAX} bytes at most")
    return memoryview(slot)[_LENGTH.size : _LENGTH.size + length]


def pieces_of(segments: Sequence[Segment], length: int) -> list[tuple[int, int, int]] | None:
    """Grant reference, offset and length of the first bytes of memory descriptors; None: one does not lie in a page.

    :param length: how many bytes.
    """
    pieces = []
    for address, reference, size in segments:
        if not length:
            break
        size = min(size, length)
        if address + size > PAGE_BYTES:
            return None
        pieces.append((reference, address, size))
        length -= size
    return None if length else pieces
