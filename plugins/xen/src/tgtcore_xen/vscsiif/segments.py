"""Segments: the parts of a guest's pages that are the data of a command."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import final, overload

from tgtcore_xen.vscsiif.errors import Malformed
from tgtcore_xen.vscsiif.layout import PAGE_BYTES, SEGMENT_BYTES

Segment = tuple[int, int, int]
"""Grant reference, offset and length in bytes: the fields of :class:`~tgtcore_xen.platform.contract.Piece`."""

_RECORD = struct.Struct("<IHH")
_records = _RECORD.iter_unpack
_pack = _RECORD.pack


_ZEROES = bytes(4096)
_HIGH_BYTES = bytes((PAGE_BYTES >> 8,)) * len(_ZEROES)
"""Of the lengths of whole pages; all their other bytes are zero, and so are those of the offsets."""


@final
class WholePages(Sequence[Segment]):
    """Segments each of which is all of its page, as those of long transfers are: nobody has to look at one after the other.

    :param records: of them.
    """

    __slots__ = ("records",)

    def __init__(self, records: bytes) -> None:
        self.records = records

    def __len__(self) -> int:
        return len(self.records) // SEGMENT_BYTES

    def __iter__(self) -> Iterator[Segment]:
        return _records(self.records)

    @overload
    def __getitem__(self, at: int) -> Segment: ...

    @overload
    def __getitem__(self, at: slice) -> list[Segment]: ...

    def __getitem__(self, at: int | slice) -> Segment | list[Segment]:
        return list(self)[at]

    def __eq__(self, other: object) -> bool:
        return list(self) == other

    def __hash__(self) -> int:
        return hash(self.records)


def parse_segments(records: "bytes | bytearray | memoryview") -> tuple[Sequence[Segment], int]:
    """Read segment records.

    :param records: nothing but them.
    :returns: the segments, and how long they are together.
    :raises Malformed: one does not lie within its page.
    """
    records = bytes(records)
    if _are_whole_pages(records):
        return WholePages(records), len(records) // SEGMENT_BYTES * PAGE_BYTES
    segments: list[Segment] = list(_records(records))
    total = 0
    for _, offset, length in segments:
        if offset + length > PAGE_BYTES:
            raise beyond_page(offset, length)
        total += length
    return segments, total


def _are_whole_pages(records: bytes) -> bool:
    """Whether all records are of whole pages: by slices of their bytes, which is much faster than to look at each record."""
    count = len(records) // SEGMENT_BYTES
    zeroes = _ZEROES[:count]
    return (
        records[7::SEGMENT_BYTES] == _HIGH_BYTES[:count]
        and records[4::SEGMENT_BYTES] == zeroes
        and records[5::SEGMENT_BYTES] == zeroes
        and records[6::SEGMENT_BYTES] == zeroes
    )


def count_indirect(tables: Iterable[Segment], most: int) -> int:
    """How many segment records there are in parts of pages.

    :raises Malformed: a part does not hold whole records, or there are none of them, or more than ``most``.
    """
    total = 0
    for _, _, length in tables:
        if length % SEGMENT_BYTES:
            raise Malformed("the length of a table of segments", length, f"a multiple of {SEGMENT_BYTES} bytes")
        total += length
    count = total // SEGMENT_BYTES
    if not 0 < count <= most:
        raise Malformed("the number of indirect segments", count, f"1 to {most}")
    return count


def build_segments(segments: Iterable[Segment]) -> bytes:
    """The bytes of segment records."""
    return b"".join([_pack(*segment) for segment in segments])


def beyond_page(offset: int, length: int) -> Malformed:
    """The error for a segment that goes on behind its page."""
    return Malformed("a segment", f"{length} bytes at {offset}", f"an end within its {PAGE_BYTES} bytes")
