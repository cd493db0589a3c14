"""The reference counts as they stand in the file, read anew for a check."""

from array import array
from collections import OrderedDict

from tgtcore import Store
from tgtcore_cow.qcow2.findings import Findings, Remedy
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.places import is_hole, read_padded, read_words
from tgtcore_cow.qcow2.refcount_codec import TYPECODES, unpack
from tgtcore_cow.qcow2.references import References, Role, named

_MEMORY_BYTES = 64 << 20
_OFFSET = ~0x1FF & ((1 << 64) - 1)
"""Bits 9 to 63 of an entry of the refcount table; those below are reserved."""


class StoredCounts:
    """What the refcount table and its blocks say.

    The counts of a block that is missing, or can't be where it is said to be, are zero.
    """

    def __init__(self, file: Store, header: Header, references: References, findings: Findings) -> None:
        self._file = file
        self._layout = header.layout
        self._references = references
        self._findings = findings
        self._read: OrderedDict[int, array[int]] = OrderedDict()
        self._read_max = max(_MEMORY_BYTES // (self._layout.refcounts_per_block * 2), 2)
        self.zeroes = array(
            TYPECODES[header.refcount_order],
            bytes(self._layout.refcounts_per_block << max(header.refcount_order - 3, 0)),
        )
        self.blocks: dict[int, int] = {}
        """Where each block is, by its number."""

    def read_table(self, header: Header) -> None:
        """Learn where the blocks are.

        Marks their clusters and those of the table in ``references``, and reports a table or blocks that can't be where they are
        said to be.
        """
        offset, clusters = header.refcount_table_offset, header.refcount_table_clusters
        references, bits = self._references, self._layout.cluster_bits
        first = offset >> bits
        there = max(min(clusters, references.clusters - first), 0)
        if there < clusters:
            self._findings.error(
                offset,
                f"the refcount table at {offset:#x} reaches beyond the end of the file",
                Remedy.REBUILD,
            )
        overlapped = references.mark(first, there, Role.REFCOUNT_TABLE)
        references.add_range(first, there)
        if overlapped:
            self._findings.error(
                offset, f"the refcount table at {offset:#x} lies in {named(overlapped)}", Remedy.REBUILD
            )
        for number, entry in enumerate(read_words(self._file, offset, there << bits >> 3)):
            if entry:
                self._read_entry(number, entry, offset + number * 8)

    def _read_entry(self, number: int, entry: int, where: int) -> None:
        references, bits = self._references, self._layout.cluster_bits
        offset = entry & _OFFSET
        what = f"refcount block {number} is at {entry:#x}, "
        if offset != entry:
            self._findings.error(where, f"{what}whose reserved low bits are not zero", Remedy.REBUILD)
        if offset & (self._layout.cluster_bytes - 1) or not 0 < offset >> bits < references.clusters:
            expected = f"expected a multiple of {self._layout.cluster_bytes:#x} before the end of the file"
            self._findings.error(where, what + expected, Remedy.REBUILD)
            return
        overlapped = references.mark(offset >> bits, 1, Role.REFCOUNT_BLOCK)
        if overlapped:
            self._findings.error(where, f"{what}which is {named(overlapped)} already", Remedy.REBUILD)
            if overlapped & Role.REFCOUNT_BLOCK:
                return
        references.add((offset >> bits,))
        self.blocks[number] = offset

    def block(self, number: int) -> "array[int]":
        """The counts of one block; not to be changed.  They are ``zeroes`` if there are none to read."""
        offset = self.blocks.get(number)
        if offset is None:
            return self.zeroes
        counts = self._read.get(number)
        if counts is None:
            if is_hole(self._file, offset, self._layout.cluster_bytes):
                return self.zeroes
            counts = unpack(read_padded(self._file, offset, self._layout.cluster_bytes), self._layout.refcount_order)
            self._read[number] = counts
            if len(self._read) > self._read_max:
                self._read.popitem(last=False)
        else:
            self._read.move_to_end(number)
        return counts

    def count(self, cluster: int) -> int:
        """The count of one cluster."""
        number, place = divmod(cluster, self._layout.refcounts_per_block)
        return self.block(number)[place]
