"""Data buffer descriptors: where in the initiator's memory the data of a command is (SRP r16a, 5.6; SRP-2: immediate data).

The standard's word for a piece of memory is *memory descriptor*; here it is a :class:`~tgtcore_srp.fabric.Segment`.
"""

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from tgtcore_srp.fabric import Segment
from tgtcore_srp.iu.errors import Malformed
from tgtcore_srp.iu.header import Unit
from tgtcore_srp.iu.opcodes import BufferFormat

SEGMENT_BYTES: Final = 16
"""Size of a memory descriptor."""

TABLE_SEGMENTS_MAX: Final = 4096
"""The longest table that is taken; the longest that Linux initiators make has 2048 entries."""

TABLES_BYTES_MAX: Final = 2 * TABLE_SEGMENTS_MAX * SEGMENT_BYTES
"""What the tables of one command take at most: of its data-out and of its data-in."""

INDIRECT_BYTES: Final = 20
"""Size of an indirect descriptor without its list."""

IMMEDIATE_BYTES: Final = 4
"""Size of a descriptor of immediate data."""

ADDRESS_END: Final = 1 << 64
"""Behind the last address."""

_COMMAND = "SRP_CMD"
_TABLE = "memory descriptor table"
_SEGMENT = struct.Struct(">QII")
_INDIRECT = struct.Struct(">QIII")
_IMMEDIATE = struct.Struct(">I")


class BufferDescriptor(NamedTuple):
    """One data buffer of a command.

    :param format: how it is written.
    :param length: bytes of the buffer as a whole.
    :param segments: the pieces that the unit itself names, in order; all of them if :attr:`complete`, else the first ones or none.
    :param table: where the initiator's memory has the list of all pieces, 16 bytes for each; None if the buffer is not indirect.
    :param offset: where immediate data begins, in bytes from the begin of the unit; 0 for other formats.
    """

    format: BufferFormat
    length: int
    segments: tuple[Segment, ...]
    table: Segment | None = None
    offset: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing more has to be fetched to know all pieces: not the table."""
        return self.table is None or self.table.length == len(self.segments) * SEGMENT_BYTES

    @property
    def listed(self) -> int:
        """The descriptor count that stands in the command for this buffer."""
        return len(self.segments) if self.format is BufferFormat.INDIRECT else 0

    @classmethod
    def direct(cls, segment: Segment) -> "BufferDescriptor":
        """A buffer in one piece."""
        return cls(BufferFormat.DIRECT, segment.length, (segment,))

    @classmethod
    def indirect(cls, table: Segment, segments: tuple[Segment, ...], listed: int | None = None) -> "BufferDescriptor":
        """A buffer in pieces.

        :param table: where the initiator has put :func:`build_table` of all segments.
        :param segments: all of them.
        :param listed: how many of them the command names itself; None: all.
        """
        return cls(BufferFormat.INDIRECT, sum(each.length for each in segments), segments[:listed], table)

    @classmethod
    def immediate(cls, length: int, offset: int) -> "BufferDescriptor":
        """A buffer whose data goes with the command, ``offset`` bytes from its begin."""
        return cls(BufferFormat.IMMEDIATE, length, (), None, offset)

    def build(self) -> bytes:
        """Its bytes in the command."""
        if self.format is BufferFormat.IMMEDIATE:
            return _IMMEDIATE.pack(self.length)
        if self.table is None:
            return build_table(self.segments)
        return _INDIRECT.pack(*self.table, self.length) + build_table(self.segments)


def build_table(segments: tuple[Segment, ...]) -> bytes:
    """A list of memory descriptors, as it stands in a command and in the initiator's memory."""
    return b"".join([_SEGMENT.pack(*segment) for segment in segments])


def parse_table(table: Unit, length: int) -> tuple[Segment, ...]:
    """All pieces of an indirect buffer, from the table that was fetched.

    :param length: of the buffer, as its descriptor says.
    :raises Malformed: an entry is cut, leaves the address space, or the pieces' lengths have another sum.
    """
    if len(table) % SEGMENT_BYTES:
        raise Malformed(_TABLE, "length", len(table), f"a multiple of {SEGMENT_BYTES} bytes")
    segments = _segments(_TABLE, "segment", table)
    _check_sum(_TABLE, "sum of the segments", segments, length, complete=True)
    return segments


class Source(NamedTuple):
    """Where a descriptor is read from.

    :param unit: the information unit.
    :param end: its length.
    :param side: which buffer, in words.
    :param listed: the descriptor count of the command's header for it.
    :param immediate_offset: where immediate data begins, as agreed at login; 0: there is none.
    """

    unit: Unit
    end: int
    side: str
    listed: int
    immediate_offset: int = 0

    def need(self, at: int, size: int, what: str) -> int:
        """The end of something with ``size`` bytes at ``at``, which must lie in the unit."""
        end = at + size
        if end > self.end:
            raise self.wrong(f"{what} end", f"byte {end}", f"{self.end} at most, the length of the unit")
        return end

    def wrong(self, what: str, found: object, expected: str) -> Malformed:
        """The error for a field of this descriptor."""
        return Malformed(_COMMAND, f"{self.side} {what}", found, expected)


def parse_none(source: Source, at: int) -> tuple[None, int]:
    """No buffer: no bytes."""
    return None, at


def parse_direct(source: Source, at: int) -> tuple[BufferDescriptor, int]:
    """A direct descriptor and where the unit goes on behind it."""
    end = source.need(at, SEGMENT_BYTES, "descriptor")
    segment = _segment(_COMMAND, f"{source.side} descriptor", _SEGMENT.unpack_from(source.unit, at))
    return BufferDescriptor.direct(segment), end


def parse_indirect(source: Source, at: int) -> tuple[BufferDescriptor, int]:
    """An indirect descriptor and where the unit goes on behind it."""
    list_at = source.need(at, INDIRECT_BYTES, "descriptor")
    *named, length = _INDIRECT.unpack_from(source.unit, at)
    table = _segment(_COMMAND, f"{source.side} table", named)
    if table.length % SEGMENT_BYTES:
        raise source.wrong("table length", table.length, f"a multiple of {SEGMENT_BYTES} bytes")
    entries = table.length // SEGMENT_BYTES
    if entries > TABLE_SEGMENTS_MAX:
        raise source.wrong("table length", table.length, f"{TABLE_SEGMENTS_MAX * SEGMENT_BYTES} bytes at most")
    if source.listed > entries:
        raise source.wrong("descriptor count", source.listed, f"{entries} at most, as many as the table has")
    end = source.need(list_at, source.listed * SEGMENT_BYTES, "descriptor list")
    segments = _segments(_COMMAND, f"{source.side} segment", source.unit[list_at:end])
    _check_sum(_COMMAND, f"sum of the {source.side} segments", segments, length, complete=source.listed == entries)
    return BufferDescriptor(BufferFormat.INDIRECT, length, segments, table), end


def parse_immediate(source: Source, at: int) -> tuple[BufferDescriptor, int]:
    """A descriptor of immediate data and where the unit goes on behind it, which is not yet the data."""
    end = source.need(at, IMMEDIATE_BYTES, "descriptor")
    (length,) = _IMMEDIATE.unpack_from(source.unit, at)
    source.need(source.immediate_offset, length, "immediate data")
    return BufferDescriptor.immediate(length, source.immediate_offset), end


def _segments(iu: str, what: str, entries: Unit) -> tuple[Segment, ...]:
    """Whole memory descriptors."""
    return tuple([_segment(iu, f"{what} {at}", fields) for at, fields in enumerate(_SEGMENT.iter_unpack(entries))])


def _segment(iu: str, what: str, fields: Iterable[int]) -> Segment:
    """A memory descriptor that ends inside the address space."""
    segment = Segment._make(fields)
    if segment.address + segment.length > ADDRESS_END:
        room = ADDRESS_END - segment.address
        raise Malformed(iu, f"{what} length", segment.length, f"{room} at most from address {segment.address:#x} on")
    return segment


def _check_sum(iu: str, what: str, segments: tuple[Segment, ...], length: int, *, complete: bool) -> None:
    """The pieces must have the length of the buffer together; some of them, not more."""
    found = sum([segment.length for segment in segments])
    if found > length or (complete and found < length):
        expected = f"{length}, the length of the buffer" if complete else f"{length} at most, the length of the buffer"
        raise Malformed(iu, what, found, expected)
