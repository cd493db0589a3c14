"""How often an image points to each cluster of its file, and for what: counted anew from its tables."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import IntFlag
from functools import cache
from itertools import chain

from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.layout import Layout

COUNTS_BYTES_MAX = 1 << 30
"""Most memory for counts: enough for 32 TiB in clusters of 64 KiB."""

_WIDER = {"B": "H", "H": "Q"}


class Role(IntFlag):
    """What a cluster holds, unless it is data.  All but L2 tables are pointed to once."""

    HEADER = 1
    L1 = 2
    SNAPSHOTS = 4
    L2 = 8
    ACTIVE_L2 = 16
    """An L2 table that the disk as it is now uses, not only snapshots."""
    REFCOUNT_TABLE = 32
    REFCOUNT_BLOCK = 64
    BITMAPS = 128


NAMES = {
    Role.HEADER: "the header",
    Role.L1: "an L1 table",
    Role.SNAPSHOTS: "the snapshot table",
    Role.L2: "an L2 table",
    Role.REFCOUNT_TABLE: "the refcount table",
    Role.REFCOUNT_BLOCK: "a refcount block",
    Role.BITMAPS: "a bitmap",
}
REFCOUNTS = Role.REFCOUNT_TABLE | Role.REFCOUNT_BLOCK
L2_TABLES = Role.L2 | Role.ACTIVE_L2


def named(roles: int) -> str:
    """What a cluster of these roles holds, in words."""
    return " and ".join(name for role, name in NAMES.items() if roles & role)


class References:
    """Counts and roles of the clusters of a file, in blocks like those of the image; blocks without any take no memory.

    :param clusters: how many the file has; no method takes one beyond.
    :raises ImageError: (all methods that add) the clusters are so many that the counts would take too much memory.
    """

    def __init__(self, clusters: int, sizes: Layout) -> None:
        self.clusters = clusters
        self.block_bits = sizes.refcounts_per_block.bit_length() - 1
        self._block_mask = sizes.refcounts_per_block - 1
        self._kind = "B" if sizes.refcount_order <= 3 else "H"
        self._counts: dict[int, array[int]] = {}
        self._roles: dict[int, bytearray] = {}
        self._bytes = 0

    # ---- counts -----------------------------------------------------------------------------------------------------

    def add(self, clusters: Sequence[int], weight: int = 1) -> None:
        """Each of these is pointed to, by so many pointers."""
        for number, places in self.by_block(clusters):
            self._add(number, places, weight)

    def add_range(self, first: int, count: int) -> None:
        """Each of these is pointed to once."""
        for number, start, stop in self._pieces(first, count):
            self._add(number, range(start, stop), 1)

    def _add(self, number: int, places: Iterable[int], weight: int) -> None:
        counts = self._counts.get(number)
        if counts is None:
            counts = self._kept(
                number, array(self._kind, bytes(self._block_size(number) * (1 if self._kind == "B" else 2)))
            )
        pending: Iterator[int] = iter(places)
        place = 0
        while True:
            try:
                for place in pending:
                    counts[place] += weight
            except OverflowError:
                # this block has a count for which its numbers are too small: go on with wider ones
                wide = _WIDER[counts.typecode] if weight < 1 << 16 else "Q"
                counts = self._kept(number, array(wide, counts))
                pending = chain((place,), pending)
            else:
                return

    def _kept(self, number: int, counts: "array[int]") -> "array[int]":
        before = self._counts.get(number)
        self._take(len(counts) * counts.itemsize - (len(before) * before.itemsize if before else 0))
        self._counts[number] = counts
        return counts

    def _take(self, length: int) -> None:
        self._bytes += length
        if self._bytes > COUNTS_BYTES_MAX:
            raise ImageError(
                f"the image uses clusters all over a file of {self.clusters} clusters; counting them would take more than "
                f"{COUNTS_BYTES_MAX} bytes of memory"
            )

    def block(self, number: int) -> "array[int] | None":
        """The counts of one block, as far as the file reaches; None: all are zero."""
        return self._counts.get(number)

    def blocks(self) -> set[int]:
        """Numbers of the blocks that have counts."""
        return set(self._counts)

    def count(self, cluster: int) -> int:
        """How often a cluster is pointed to."""
        counts = self._counts.get(cluster >> self.block_bits)
        return counts[cluster & self._block_mask] if counts else 0

    # ---- roles ------------------------------------------------------------------------------------------------------

    def mark(self, first: int, count: int, role: Role) -> int:
        """These clusters hold something that is not data.

        :returns: the roles that some of them had already.
        """
        before = 0
        added = _adding(role)
        for number, start, stop in self._pieces(first, count):
            roles = self._roles.get(number)
            if roles is None:
                self._take(self._block_size(number))
                roles = self._roles[number] = bytearray(self._block_size(number))
            held = roles[start:stop]
            for value in set(held):
                before |= value
            roles[start:stop] = held.translate(added)
        return before

    def roles(self, cluster: int) -> int:
        """What a cluster holds; 0: data, or nothing."""
        roles = self._roles.get(cluster >> self.block_bits)
        return roles[cluster & self._block_mask] if roles else 0

    def not_data(self, clusters: Sequence[int]) -> set[int]:
        """Those of the clusters that hold something else."""
        found: set[int] = set()
        for number, places in self.by_block(clusters):
            roles = self._roles.get(number)
            if roles and any(map(roles.__getitem__, places)):
                found.update((number << self.block_bits) + place for place in places if roles[place])
        return found

    def marked(self, role: Role) -> Iterator[int]:
        """The clusters with a role, in order."""
        table = _having(role)
        for number in sorted(self._roles):
            hits = self._roles[number].translate(table)
            place = hits.find(1)
            while place >= 0:
                yield (number << self.block_bits) + place
                place = hits.find(1, place + 1)

    # ---- blocks -----------------------------------------------------------------------------------------------------

    def by_block(self, clusters: Sequence[int]) -> Iterable[tuple[int, Sequence[int]]]:
        """Clusters sorted into blocks: the block's number, and the places within it."""
        if not clusters:
            return ()
        bits, mask = self.block_bits, self._block_mask
        lowest, highest = min(clusters) >> bits, max(clusters) >> bits
        if lowest == highest:
            return ((lowest, [cluster & mask for cluster in clusters]),)
        groups: dict[int, list[int]] = defaultdict(list)
        for cluster in clusters:
            groups[cluster >> bits].append(cluster & mask)
        return groups.items()

    def _pieces(self, first: int, count: int) -> Iterator[tuple[int, int, int]]:
        end = first + count
        while first < end:
            number, start = first >> self.block_bits, first & self._block_mask
            stop = min(start + end - first, self._block_mask + 1)
            yield number, start, stop
            first += stop - start

    def _block_size(self, number: int) -> int:
        return min(self._block_mask + 1, self.clusters - (number << self.block_bits))


@cache
def _adding(role: int) -> bytes:
    """The table that adds a role to bytes of roles."""
    return bytes(value | role for value in range(256))


@cache
def _having(role: int) -> bytes:
    """The table that makes 1 of roles with one, else 0."""
    return bytes(1 if value & role else 0 for value in range(256))
