"""How an initiator names its memory in a command."""

from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.descriptors import INDIRECT_BYTES, SEGMENT_BYTES, BufferDescriptor

LISTED_MAX = 255
"""The descriptor count in a command is one byte."""


def describe(segments: tuple[Segment, ...], table: Segment | None = None, room: int = 0) -> BufferDescriptor:
    """The descriptor of a buffer in these pieces: direct if it is one, else indirect.

    :param table: where the caller puts :func:`~tgtcore_srp.iu.descriptors.build_table` of the pieces, if they are several.
    :param room: bytes that the command has left for the descriptor; so many pieces are listed as fit.
    :raises ValueError: several pieces, and no room or no table for them.
    """
    if len(segments) == 1:
        return BufferDescriptor.direct(segments[0])
    if table is None or table.length != len(segments) * SEGMENT_BYTES or room < INDIRECT_BYTES:
        raise ValueError(
            f"{len(segments)} segments need a table of {len(segments) * SEGMENT_BYTES} bytes and room for {INDIRECT_BYTES}"
        )
    return BufferDescriptor.indirect(table, segments, min(LISTED_MAX, (room - INDIRECT_BYTES) // SEGMENT_BYTES))
