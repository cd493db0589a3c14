"""Reference counts of an image's clusters, and the search for free ones.

What is here is what the image will say after everything was written back.  A count only goes down when nothing on the disk refers
to the cluster any more, so a cluster that counts zero is free indeed.  See :mod:`~tgtcore_cow.qcow2.write_back` for the order in
which it all reaches the disk.
"""

import errno
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from tgtcore import Store
from tgtcore_cow.qcow2 import refcount_codec
from tgtcore_cow.qcow2.errors import Corrupt
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.layout import REFCOUNT_TABLE_BYTES_MAX
from tgtcore_cow.qcow2.places import check_place, read_padded, read_words

_BLOCK_OFFSET = ~0x1FF


class Refcounts:
    """The counts, by number of the cluster in the file.

    :param file: the image.
    :param reserve: is told offset and length of each place that a new block or table has got, and takes that space in the file.
    :raises Corrupt: the refcount table points to where no block can be.
    """

    def __init__(self, file: Store, header: Header, reserve: Callable[[int, int], None]) -> None:
        self._file = file
        self._reserve = reserve
        self._layout = header.layout
        self._per_block = self._layout.refcounts_per_block
        self.table_offset = header.refcount_table_offset
        self.table_clusters = header.refcount_table_clusters
        self.table = self._read_table()
        self._blocks: dict[int, array[int]] = {}
        self.dirty_blocks: set[int] = set()
        self.dirty_entries: set[int] = set()
        self.moved = False
        """Whether the table has another place than the header on the disk says."""
        self.retired: list[int] = []
        """Clusters of a table that was moved; they are free when the header has told so."""
        self._free_from = 0
        """No cluster before it is free."""
        self.untouched_from = self._layout.clusters(file.size_bytes)
        """From here on nothing was ever written: it reads as zeroes."""

    def _read_table(self) -> "array[int]":
        layout = self._layout
        check_place("the refcount table", self.table_offset, layout.cluster_bytes, self._file)
        table = read_words(self._file, self.table_offset, self.table_clusters << layout.cluster_bits >> 3)
        for entry in table:
            if entry:
                check_place("a refcount block", entry & _BLOCK_OFFSET, layout.cluster_bytes, self._file)
        return table

    # ---- counts -----------------------------------------------------------------------------------------------------

    def block(self, number: int) -> "array[int] | None":
        """The counts of one block; None where there is no block, which means that they are all zero."""
        block = self._blocks.get(number)
        if block is None:
            offset = self.table[number] & _BLOCK_OFFSET if number < len(self.table) else 0
            if not offset:
                return None
            encoded = bytes(read_padded(self._file, offset, self._layout.cluster_bytes))
            block = self._blocks[number] = refcount_codec.unpack(encoded, self._layout.refcount_order)
        return block

    def taken_blocks(self) -> list[tuple[int, bytes]]:
        """Places and bytes of the blocks that were changed; they are not changed any more then."""
        numbers = sorted(self.dirty_blocks)
        self.dirty_blocks.clear()
        order = self._layout.refcount_order
        return [(self.block_offset(number), refcount_codec.pack(self._blocks[number], order)) for number in numbers]

    def counts(self, clusters: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Clusters in order, each with its count."""
        for number, of_block in self._by_block(sorted(clusters)):
            block, base = self.block(number), number * self._per_block
            for cluster in of_block:
                yield cluster, block[cluster - base] if block is not None else 0

    def numbers(self, clusters: Iterable[int]) -> set[int]:
        """The numbers of the blocks that count some clusters."""
        return {number for number, _ in self._by_block(sorted(clusters))}

    def block_offset(self, number: int) -> int:
        """Where a block is."""
        return self.table[number] & _BLOCK_OFFSET

    def count(self, cluster: int) -> int:
        """How often a cluster is used."""
        block = self.block(cluster // self._per_block)
        return block[cluster % self._per_block] if block is not None else 0

    def add(self, clusters: Iterable[int], by: int) -> list[int]:
        """Change the count of each cluster by 1 or -1; returns those that are free now.

        :raises Corrupt: a count would become less than none.
        :raises OSError: EMLINK when one would be more than the image's reference counts can tell.
        """
        freed: list[int] = []
        for number, of_block in self._by_block(sorted(clusters)):
            block = self.block(number)
            if block is None:
                raise Corrupt(f"cluster {of_block[0]} is used, but there is no refcount block for it; check the image")
            self.dirty_blocks.add(number)
            base, highest = number * self._per_block, self._layout.refcount_max
            if by > 0:
                for cluster in of_block:
                    if block[cluster - base] == highest:
                        raise _too_often(cluster, highest)
                    block[cluster - base] += 1
                continue
            for cluster in of_block:
                if not block[cluster - base]:
                    raise _too_seldom(cluster)
                block[cluster - base] -= 1
            freed += {cluster for cluster in of_block if not block[cluster - base]}
        if freed:
            self._free_from = min(self._free_from, min(freed))
        return freed

    def _by_block(self, clusters: list[int]) -> Iterator[tuple[int, list[int]]]:
        """The numbers of blocks, with those of some sorted clusters that each counts."""
        start = 0
        while start < len(clusters):
            number = clusters[start] // self._per_block
            stop = bisect_left(clusters, (number + 1) * self._per_block, start)
            yield number, clusters[start:stop]
            start = stop

    def metadata_clusters(self) -> Iterator[int]:
        """The clusters that the table and the blocks take."""
        bits = self._layout.cluster_bits
        first = self.table_offset >> bits
        yield from range(first, first + self.table_clusters)
        yield from (entry >> bits for entry in self.table if entry)

    @property
    def end(self) -> int:
        """Behind the last cluster that is in use."""
        for number in range(len(self.table) - 1, -1, -1):
            block = self.block(number)
            if block is not None and any(block):
                used = next(index for index in range(len(block) - 1, -1, -1) if block[index])
                return number * self._per_block + used + 1
        return 0

    # ---- free clusters ----------------------------------------------------------------------------------------------

    def next_free(self) -> int | None:
        """The first free cluster, if that is known without reading or making a block."""
        number = self._free_from // self._per_block
        block = self._blocks.get(number)
        if block is None:
            return None
        start = self._free_from - number * self._per_block
        try:
            index = block.index(0, start)
        except ValueError:
            return None
        self._free_from = number * self._per_block + index
        return self._free_from

    def take(self, cluster: int) -> bool:
        """Use what :meth:`next_free` has found; returns whether it reads as zeroes."""
        number, index = divmod(cluster, self._per_block)
        self._blocks[number][index] = 1
        self.dirty_blocks.add(number)
        self._free_from = cluster + 1
        return self._touch(cluster, 1)

    def allocate(self, most: int) -> tuple[int, int, bool]:
        """Use free clusters that lie side by side.

        :returns: the first one, how many there are (1 to ``most``), and whether they read as zeroes.
        :raises OSError: EFBIG when the refcount table can't be made any larger, or that of the file that has no room for it.
        """
        first = self._free_from = self._find_free(self._free_from)
        count = self._use(first, most)
        self._free_from = first + count
        return first, count, self._touch(first, count)

    def allocate_together(self, count: int) -> int:
        """Use ``count`` free clusters that lie side by side; returns the first one.

        :raises OSError: as above.
        """
        if count >= self._per_block:
            return self._allocate_long(count)
        first = self._find_free(self._free_from)
        while (found := self._use(first, count)) < count:
            self._unuse(first, found)
            first = self._find_free(first + found)
        self._touch(first, count)
        return first

    def _allocate_long(self, count: int) -> int:
        """A run behind everything that is counted, and before it all the blocks that count it, which would else lie in between."""
        blocks = -(-count // (self._per_block - 1))
        while (number := self._blocks_end()) + blocks > len(self.table):
            self._move_table(len(self.table) + blocks)
        first = number * self._per_block
        for block in range(blocks):
            self._put_block(number + block, first + block)
        self._use(first, blocks)
        self._use(first + blocks, count)
        self._touch(first + blocks, count)
        return first + blocks

    def _blocks_end(self) -> int:
        """Behind the number of the last block."""
        return max((number + 1 for number, entry in enumerate(self.table) if entry), default=0)

    def _touch(self, first: int, count: int) -> bool:
        """Clusters are about to be written; returns whether nobody ever did before."""
        untouched = first >= self.untouched_from
        self.untouched_from = max(self.untouched_from, first + count)
        return untouched

    def give_back(self, first: int, count: int) -> None:
        """What was allocated is not needed after all, and nothing refers to it."""
        self._unuse(first, count)
        self._free_from = min(self._free_from, first)

    def _find_free(self, start: int) -> int:
        """The first free cluster from ``start`` on, with a block that counts it."""
        while True:
            number, index = divmod(start, self._per_block)
            block = self.block(number)
            if block is None:
                self._make_block(number)
                continue
            try:
                return number * self._per_block + block.index(0, index)
            except ValueError:
                start = (number + 1) * self._per_block

    def _use(self, first: int, most: int) -> int:
        """Count clusters from a free one on, as far as they are free."""
        used = 0
        try:
            while used < most:
                number, index = divmod(first + used, self._per_block)
                block = self.block(number)
                if block is None:
                    self._make_block(number)  # it takes the first cluster that it counts
                    block = self._blocks[number]
                if block[index]:
                    break
                block[index] = 1
                self.dirty_blocks.add(number)
                used += 1
        except BaseException:
            self._unuse(first, used)
            raise
        return used

    def _unuse(self, first: int, count: int) -> None:
        for cluster in range(first, first + count):
            number, index = divmod(cluster, self._per_block)
            self._blocks[number][index] = 0
            self.dirty_blocks.add(number)

    def _make_block(self, number: int) -> None:
        """Make a refcount block; it lies in the first cluster that it counts."""
        if number >= len(self.table):
            self._move_table(number + 1)
            return
        cluster = number * self._per_block
        self._reserve(cluster << self._layout.cluster_bits, self._layout.cluster_bytes)
        self._put_block(number, cluster)
        self._blocks[number][0] = 1

    def _put_block(self, number: int, cluster: int) -> None:
        self._blocks[number] = array(refcount_codec.TYPECODES[self._layout.refcount_order], [0]) * self._per_block
        self.table[number] = cluster << self._layout.cluster_bits
        self._touch(cluster, 1)
        self.dirty_blocks.add(number)
        self.dirty_entries.add(number)

    def make_room(self, clusters: int) -> None:
        """Let so many clusters be allocated without another place for the table."""
        unused = len(self.table) - self._blocks_end()
        needed = clusters // (self._per_block - 1) + 2
        if unused < needed:
            self._move_table(len(self.table) + needed - unused)

    def _move_table(self, entries: int) -> None:
        """Give the table more room: a new one behind everything that is counted, with the blocks that count it."""
        layout, per_block = self._layout, self._per_block
        per_cluster = layout.cluster_bytes >> 3
        first = len(self.table) * per_block
        blocks = 1
        while True:
            clusters = -(-max(len(self.table) + blocks, entries) * 3 // (2 * per_cluster))
            needed = -(-(blocks + clusters) // per_block)
            if needed <= blocks:
                break
            blocks = needed
        if clusters << layout.cluster_bits > max(REFCOUNT_TABLE_BYTES_MAX, layout.cluster_bytes):
            raise OSError(errno.EFBIG, "the image can't be any larger: its refcount table would have more than 8 MiB")
        self._reserve(first << layout.cluster_bits, (blocks + clusters) << layout.cluster_bits)
        start, was = len(self.table), self.table_offset >> layout.cluster_bits
        self.retired += range(was, was + self.table_clusters)
        self.table.extend([0] * (clusters * per_cluster - start))
        for number in range(start, start + blocks):
            self._put_block(number, first + number - start)
        self._use(first, blocks)
        self._use(first + blocks, clusters)
        self._touch(first, blocks + clusters)
        self.table_offset = (first + blocks) << layout.cluster_bits
        self.table_clusters = clusters
        self.moved = True


def _too_often(cluster: int, highest: int) -> OSError:
    return OSError(
        errno.EMLINK,
        f"cluster {cluster} would be used {highest + 1} times, but the image's reference counts end at {highest}",
    )


def _too_seldom(cluster: int) -> Corrupt:
    return Corrupt(f"cluster {cluster} is used more often than its reference count says; check the image")
