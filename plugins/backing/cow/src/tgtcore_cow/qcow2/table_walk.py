"""Looks at everything of an image but its L2 tables: header, snapshots, L1 tables, bitmaps."""

from collections.abc import Iterator
from dataclasses import dataclass

from tgtcore_cow.qcow2 import bitmaps, snapshot_table
from tgtcore_cow.qcow2.errors import Corrupt
from tgtcore_cow.qcow2.examination import Examination, mark_sentence, remedy_of_overlap, word
from tgtcore_cow.qcow2.findings import Remedy
from tgtcore_cow.qcow2.layout import COPIED, OFFSET
from tgtcore_cow.qcow2.places import is_hole, read_words
from tgtcore_cow.qcow2.references import L2_TABLES, Role, named

_L1_RESERVED = ~(COPIED | OFFSET) & ((1 << 64) - 1)
_PIECE_WORDS = 128 << 10
"""Tables are read by the MiB."""

_BITMAP_RESERVED = ~OFFSET & ((1 << 64) - 1)


@dataclass(frozen=True)
class _L1:
    what: str
    offset: int
    entries: int
    active: bool


def walk_tables(image: Examination) -> None:
    """Count the clusters of all tables, and mark what is an L2 table."""
    image.claim("the header", 0, 1, Role.HEADER)
    tables = [table for table in _l1_tables(image) if image.claim(table.what, table.offset, table.entries * 8, Role.L1)]
    _walk_bitmaps(image)
    # only now is it known what L2 tables must not be
    for table in tables:
        for where, entry in _entries(image, table.offset, table.entries):
            _look_at_root(image, table, where, entry)


def _l1_tables(image: Examination) -> Iterator[_L1]:
    header = image.header
    yield _L1("the L1 table", header.l1_offset, header.l1_entries, active=True)
    if not header.snapshots:
        return
    try:
        snapshots, length = snapshot_table.read(image.file, header)
    except Corrupt as wrong:
        image.findings.error(
            header.snapshots_offset, f"the snapshot table can't be read: {wrong}", Remedy.NONE, lost=True
        )
        return
    if header.version >= 3 and len(snapshot_table.encode(snapshots)) != length:
        sentence = "the snapshot table does not tell the size of each snapshot's disk, as version 3 must"
        image.findings.error(header.snapshots_offset, sentence, Remedy.SNAPSHOTS)
    image.claim("the snapshot table", header.snapshots_offset, length, Role.SNAPSHOTS)
    for snapshot in snapshots:
        yield _L1(f"the L1 table of snapshot {snapshot.id!r}", snapshot.l1_offset, snapshot.l1_entries, active=False)


def _entries(image: Examination, offset: int, count: int) -> Iterator[tuple[int, int]]:
    """Those entries of a table of words that are not zero, with their places in the file."""
    for first in range(0, count, _PIECE_WORDS):
        start = offset + first * 8
        length = min(_PIECE_WORDS, count - first)
        if is_hole(image.file, start, length * 8):
            continue
        words = read_words(image.file, start, length)
        if any(words):
            for number, word in enumerate(words):
                if word:
                    yield start + number * 8, word


def _look_at_root(image: Examination, table: _L1, where: int, entry: int) -> None:
    """One entry of an L1 table."""
    sizes, references, findings = image.header.layout, image.references, image.findings
    what = f"entry {(where - table.offset) // 8} of {table.what}, {entry:#018x},"
    offset, cluster = entry & OFFSET, (entry & OFFSET) >> sizes.cluster_bits
    if entry & _L1_RESERVED:
        findings.error(where, f"{what} has reserved bits", Remedy.ENTRY, word(entry & ~_L1_RESERVED))
    if not offset:
        if entry & COPIED:
            findings.error(where, f"{what} is marked as used once, but has no place", Remedy.ENTRY, word(0))
        return
    if offset % sizes.cluster_bytes or cluster >= references.clusters:
        sentence = f"{what} points to no cluster of the file, expected a multiple of {sizes.cluster_bytes:#x}"
        findings.error(where, sentence, Remedy.ENTRY, word(0), lost=True)
        return
    others = references.roles(cluster) & ~L2_TABLES
    if others:
        remedy = remedy_of_overlap(others, Remedy.ENTRY)
        lost = remedy is Remedy.ENTRY
        findings.error(where, f"{what} points to {named(others)}", remedy, word(0) if lost else None, lost=lost)
        if lost:
            return
    references.add((cluster,))
    references.mark(cluster, 1, Role.L2)
    if not table.active:
        return
    references.mark(cluster, 1, Role.ACTIVE_L2)
    count = image.stored.count(cluster)
    if (count == 1) != bool(entry & COPIED):
        findings.error(where, mark_sentence(what, cluster, entry, count), Remedy.COPIED, word(entry ^ COPIED))


# ---- bitmaps --------------------------------------------------------------------------------------------------------


def _walk_bitmaps(image: Examination) -> None:
    """The clusters of bitmaps; without the header's bit for them they are no bitmaps any more."""
    try:
        directory = bitmaps.directory_of(image.header)
        if directory and image.claim(
            "the directory of bitmaps", directory.offset, directory.length, Role.BITMAPS, Remedy.BITMAPS
        ):
            for bitmap in bitmaps.entries(image.file, directory):
                what = f"the table of bitmap {bitmap.name!r}"
                if image.claim(what, bitmap.offset, bitmap.entries * 8, Role.BITMAPS, Remedy.BITMAPS):
                    _walk_bitmap(image, bitmap.name, bitmap.offset, bitmap.entries)
    except Corrupt as wrong:
        image.findings.error(0, f"the bitmaps can't be read: {wrong}", Remedy.BITMAPS, lost=True)


def _walk_bitmap(image: Examination, name: str, offset: int, entries: int) -> None:
    for where, entry in _entries(image, offset, entries):
        place = entry & OFFSET
        if entry & _BITMAP_RESERVED & ~(0 if place else 1):
            sentence = f"entry {entry:#018x} of bitmap {name!r} has reserved bits"
            image.findings.error(where, sentence, Remedy.BITMAPS)
        if place:
            image.claim(
                f"a part of bitmap {name!r}", place, image.header.layout.cluster_bytes, Role.BITMAPS, Remedy.BITMAPS
            )
