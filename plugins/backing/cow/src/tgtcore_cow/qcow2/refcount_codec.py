"""Reference counts as they stand in a refcount block: from its bytes, and to its bytes.

A count has 2 ** order bits.  Those of a byte and more are big-endian; smaller ones share a byte, the first in its lowest bits
(qcow2 specification, "Refcount blocks").  Everything is done a block at a time, never a count at a time.
"""

import sys
from array import array

TYPECODES = ("B", "B", "B", "B", "H", "I", "Q")
"""The kind of array that holds counts, by their order."""

_SWAPPED = sys.byteorder == "little"


def _picking(order: int) -> tuple[bytes, ...]:
    """For each place within a byte: a table from the byte to the count that is there."""
    bits = 1 << order
    mask = (1 << bits) - 1
    return tuple(bytes(value >> place & mask for value in range(256)) for place in range(0, 8, bits))


_PICKING = tuple(_picking(order) for order in range(3))


def unpack(block: bytes | bytearray | memoryview, order: int) -> "array[int]":
    """The counts of one block or several.

    :param block: a multiple of the bytes of a count.
    :param order: of a count, 0 to 6.
    :returns: an array of kind ``TYPECODES[order]``.
    """
    if order >= 3:
        counts = array(TYPECODES[order])
        counts.frombytes(block)
        return _swapped(counts)
    packed = bytes(block)
    tables = _PICKING[order]
    spread = bytearray(len(packed) * len(tables))
    for place, table in enumerate(tables):
        spread[place :: len(tables)] = packed.translate(table)
    return array("B", spread)


def pack(counts: "array[int]", order: int) -> bytes:
    """The bytes of counts; as many counts as fill whole bytes.

    :param order: of a count, 0 to 6.
    :raises OverflowError: a count is higher than the order allows.
    """
    if order >= 3:
        return _swapped(array(TYPECODES[order], counts)).tobytes()
    spread = array("B", counts).tobytes()
    tables = _PICKING[order]
    if len(spread) % len(tables):
        raise ValueError(f"{len(spread)} counts of {1 << order} bits fill no whole byte")
    if spread and max(spread) >> (1 << order):
        raise OverflowError(f"a count of {max(spread)} does not fit into {1 << order} bits")
    # each place of all bytes at once, as one long number: counts are too small to reach into their neighbours
    packed = 0
    for place in range(len(tables)):
        packed |= int.from_bytes(spread[place :: len(tables)], "little") << (place << order)
    return packed.to_bytes(len(spread) // len(tables), "little")


def _swapped(counts: "array[int]") -> "array[int]":
    if _SWAPPED:
        counts.byteswap()
    return counts
