"""The numbers of a qcow2 image: how its clusters, tables and their entries are laid out.

Source: the format's specification, "qcow2 file format" in QEMU's interoperability documents.  All numbers are big-endian.
"""

from dataclasses import dataclass
from functools import cached_property

CLUSTER_BITS_MIN, CLUSTER_BITS_MAX = 9, 21
"""From 512 bytes, the least that the format allows, to 2 MiB, the most that QEMU opens."""

EXTENDED_CLUSTER_BITS_MIN = 14
"""Subclusters have at least 512 bytes."""

REFCOUNT_ORDER_MAX = 6

L1_BYTES_MAX = 32 << 20
REFCOUNT_TABLE_BYTES_MAX = 8 << 20
SNAPSHOTS_MAX = 65536
SNAPSHOT_TABLE_BYTES_MAX = 64 << 20
"""As in QEMU; larger ones are refused, so that a strange image can't take all memory."""

COPIED = 1 << 63
"""Entries of L1 and L2 tables: what it points to is used once, so it may be written in place."""

COMPRESSED = 1 << 62
ZERO = 1
"""Standard entries of L2 tables, version 3: the cluster reads as zeroes, whether or not it has a place."""

OFFSET = 0x00FF_FFFF_FFFF_FE00
"""Bits 9 to 55 of an entry: the place in the file, 0 for none."""

SUBCLUSTERS = 32
ALL_SUBCLUSTERS = (1 << SUBCLUSTERS) - 1


@dataclass(frozen=True)
class Layout:
    """What the sizes of an image follow from.

    :param cluster_bits: a cluster has 2 ** cluster_bits bytes.
    :param refcount_order: a reference count has 2 ** refcount_order bits.
    :param extended_l2: entries of L2 tables have 16 bytes, and tell for each of 32 subclusters whether it is there.
    """

    cluster_bits: int
    refcount_order: int = 4
    extended_l2: bool = False

    @cached_property
    def cluster_bytes(self) -> int:
        """Size of a cluster."""
        return 1 << self.cluster_bits

    @cached_property
    def subcluster_bytes(self) -> int:
        """The unit in which the map tells what is where."""
        return self.cluster_bytes // SUBCLUSTERS if self.extended_l2 else self.cluster_bytes

    @cached_property
    def words_per_entry(self) -> int:
        """Words of 8 bytes in an entry of an L2 table."""
        return 2 if self.extended_l2 else 1

    @cached_property
    def l2_bits(self) -> int:
        """An L2 table has 2 ** l2_bits entries."""
        return self.cluster_bits - (4 if self.extended_l2 else 3)

    @cached_property
    def l2_entries(self) -> int:
        """Entries of an L2 table."""
        return 1 << self.l2_bits

    @cached_property
    def bytes_per_l2(self) -> int:
        """How many bytes of the disk an L2 table maps."""
        return self.cluster_bytes << self.l2_bits

    @cached_property
    def refcount_max(self) -> int:
        """The highest reference count; a cluster that has it can't be shared once more."""
        return (1 << (1 << self.refcount_order)) - 1

    @cached_property
    def refcounts_per_block(self) -> int:
        """Reference counts in a refcount block, which is one cluster."""
        return self.cluster_bytes * 8 >> self.refcount_order

    @cached_property
    def compressed_offset_bits(self) -> int:
        """How many low bits of a compressed cluster's entry are its place; those above tell its length."""
        return 62 - (self.cluster_bits - 8)

    def clusters(self, length: int) -> int:
        """How many clusters ``length`` bytes take."""
        return -(-length >> self.cluster_bits)

    def l1_entries(self, size_bytes: int) -> int:
        """How many entries the L1 table of a disk of some size needs."""
        return -(-size_bytes // self.bytes_per_l2)

    def compressed_place(self, entry: int) -> tuple[int, int]:
        """Where the data of a compressed cluster is: its offset and the most bytes that it can have."""
        bits = self.compressed_offset_bits
        offset = entry & ((1 << bits) - 1)
        sectors = (entry >> bits) & ((1 << (self.cluster_bits - 8)) - 1)
        return offset, (sectors + 1) * 512 - (offset & 511)
