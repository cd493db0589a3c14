"""Snapshots as QEMU makes them: the disk and its newest snapshot have one set of L2 tables until the disk is written."""

import struct

from cow.bases import Base
from tgtcore_cow.qcow2 import refcount_codec, snapshot_table
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.image import read_header
from tgtcore_cow.qcow2.layout import COPIED, OFFSET


def share_tables(file: Base) -> int:
    """Let a disk that was not written since its last snapshot have the snapshot's tables; returns how many they are."""
    header, content = read_header(file), file.content
    snapshots, _ = snapshot_table.read(file, header)
    shared = 0
    for root in range(header.l1_entries):
        at = header.l1_offset + root * 8
        own = _word(content, at) & OFFSET
        theirs = _word(content, snapshots[-1].l1_offset + root * 8) & OFFSET
        if own:
            # of the two equal tables, the disk's has no marks for what may be written in place
            content[theirs : theirs + header.layout.cluster_bytes] = content[own : own + header.layout.cluster_bytes]
            struct.pack_into(">Q", content, at, theirs)
            _count(header, content, theirs, 2)
            _count(header, content, own, 0)
            shared += 1
    return shared


def _word(content: bytearray, at: int) -> int:
    word: int = struct.unpack_from(">Q", content, at)[0]
    return word & ~COPIED


def _count(header: Header, content: bytearray, offset: int, count: int) -> None:
    layout = header.layout
    number, index = divmod(offset >> layout.cluster_bits, layout.refcounts_per_block)
    block = _word(content, header.refcount_table_offset + number * 8)
    counts = refcount_codec.unpack(content[block : block + layout.cluster_bytes], layout.refcount_order)
    counts[index] = count
    content[block : block + layout.cluster_bytes] = refcount_codec.pack(counts, layout.refcount_order)
