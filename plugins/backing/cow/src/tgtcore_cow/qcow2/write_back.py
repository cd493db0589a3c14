"""Writing back what is in memory, in an order that leaves a usable image whatever was reached when the power fails.

Three rules: a cluster's reference count is on the disk before anything there points to the cluster; what an entry points to is
there before the entry; and a cluster is free only when nothing on the disk points to it.  So what can be left is a cluster that
counts more than it is used: lost space, which a check finds and gives back.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tgtcore import Features, Store
from tgtcore_cow.qcow2.places import encoded_words, lengthen, sectors_of
from tgtcore_cow.qcow2.volume import Volume

Writes = list[tuple[int, bytes]]
"""Places in the file, and what is to be there."""


class WriteBack:
    """Brings an image on the disk up to date."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._turn = threading.Lock()

    def flush(self) -> None:
        """Return when everything that was written before this call is durable.

        :raises OSError: it is not; what is in memory stays to be written.
        """
        volume = self._volume
        with self._turn:
            with volume.lock:
                volume.check_writable()
                taken = _Taken(volume)
            try:
                taken.write()
            except BaseException:
                with volume.lock:
                    taken.put_back()
                raise
            with volume.lock:
                taken.written()
                safe, gone = self._unneeded()
            self.punch(gone)
            with volume.lock:
                self._count_down(safe, gone)
                blocks = volume.refcounts.taken_blocks()
            write(volume.file, blocks)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the image without anyone else, with the lock, and everything flushed."""
        volume = self._volume
        with self._turn, volume.alone():
            volume.check_writable()
            taken = _Taken(volume)
            try:
                taken.write()
            except BaseException:
                taken.put_back()
                raise
            taken.written()
            safe, gone = self._unneeded()
            self.punch(gone)
            self._count_down(safe, gone)
            write(volume.file, volume.refcounts.taken_blocks())
            yield

    def _unneeded(self) -> tuple[list[int], list[int]]:
        """What is to be counted down, as often as it is there, and which clusters will be free then."""
        volume = self._volume
        safe = volume.safe_to_free()
        times = Counter(safe)
        return safe, sorted(cluster for cluster, count in times.items() if volume.refcounts.count(cluster) == count)

    def _count_down(self, safe: list[int], gone: list[int]) -> None:
        self._volume.refcounts.add(safe, -1)
        self._volume.metadata.difference_update(gone)

    def punch(self, clusters: list[int]) -> None:
        """Give the space of clusters back, before anybody can use them again."""
        file, bits = self._volume.file, self._volume.layout.cluster_bits
        if Features.UNMAP not in file.features():
            return
        for first, count in _runs(clusters):
            offset = first << bits
            length = min(count << bits, file.size_bytes - offset)
            if length > 0:
                file.unmap(offset, length)


def _runs(clusters: list[int]) -> Iterator[tuple[int, int]]:
    """Clusters side by side, from a sorted list: the first, and how many."""
    start = 0
    for position, cluster in enumerate(clusters):
        if position + 1 == len(clusters) or clusters[position + 1] != cluster + 1:
            yield clusters[start], position + 1 - start
            start = position + 1


def write(file: Store, writes: Writes) -> None:
    """Write to places of the image's file, which grows as needed."""
    if writes:
        lengthen(file, max(offset + len(data) for offset, data in writes))
    for offset, data in writes:
        file.write(offset, data)


class _Taken:
    """What is to be written, as it was at one moment; others may go on meanwhile.

    All but :meth:`write` is called with the lock held.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        refcounts, cluster_map = volume.refcounts, volume.map
        self._block_numbers = set(refcounts.dirty_blocks)
        self._entries, refcounts.dirty_entries = refcounts.dirty_entries, set()
        self._moved, refcounts.moved = refcounts.moved, False
        self._numbers, cluster_map.dirty = cluster_map.dirty, set()
        self._roots, cluster_map.dirty_roots = cluster_map.dirty_roots, set()
        self._tables = [cluster_map.tables[number] for number in self._numbers]
        for table in self._tables:
            table.dirty, table.pinned = False, True
        self._era, self._retired = volume.take_retired()
        self._retired_tables, refcounts.retired = refcounts.retired, []

        blocks = volume.refcounts.taken_blocks()
        if self._moved:
            blocks.append((refcounts.table_offset, encoded_words(refcounts.table)))
            refcount_table = [(0, volume.first_sector(volume.header_now()))]
        else:
            refcount_table = sectors_of(refcounts.table, refcounts.table_offset, self._entries)
        l1 = sectors_of(cluster_map.l1, cluster_map.l1_offset, self._roots)
        tables = [(table.offset, encoded_words(table.words)) for table in self._tables]
        self._steps: list[Writes] = [refcount_table, tables, l1]
        self._blocks = blocks

    def write(self) -> None:
        """Write it all, step by step, each after what it relies on is durable; then all is."""
        volume = self._volume
        write(volume.file, self._blocks)
        for step in self._steps:
            if step:
                volume.sync()
                write(volume.file, step)
        volume.sync()

    def written(self) -> None:
        """It is all durable."""
        self._unpin()
        volume = self._volume
        if self._moved:
            volume.header = volume.header_now()
        volume.give_up(self._era, [*self._retired, *self._retired_tables])

    def put_back(self) -> None:
        """It may not have been written: it stays to be written."""
        self._unpin()
        volume = self._volume
        refcounts, cluster_map = volume.refcounts, volume.map
        refcounts.dirty_blocks |= self._block_numbers
        refcounts.dirty_entries |= self._entries
        refcounts.moved |= self._moved
        refcounts.retired += self._retired_tables
        volume.retired += self._retired
        cluster_map.dirty_roots |= self._roots
        for number, table in zip(self._numbers, self._tables, strict=True):
            if cluster_map.tables.get(number) is table:
                cluster_map.changed(number, table)

    def _unpin(self) -> None:
        for table in self._tables:
            table.pinned = False
