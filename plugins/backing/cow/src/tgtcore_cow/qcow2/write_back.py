"""Writing back what is in memory, in an order that leaves a usable image whatever was reached when the power fails.

Three rules: a cluster's reference count is on the disk before anything there points to the cluster; what an entry points to is
there before the entry; and a cluster is free only when nothing on the disk points to it.  So what can be left is a cluster that
counts more than it is used: lost space, which a check finds and gives back.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from tgtcore import Features
from tgtcore_cow.qcow2.places import encoded_words, sectors_of
from tgtcore_cow.qcow2.refcounts import Refcounts
from tgtcore_cow.qcow2.volume import Volume

Writes = list[tuple[int, bytes]]
"""Places in the file, and what is to be there."""


class WriteBack:
    """Brings an image on the disk up to date."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._turn = threading.Lock()
        self._unsettled: _Taken | None = None
        """What was written, and may not be durable yet, while somebody has the image alone."""

    def flush(self) -> None:
        """Return when everything that was written before this call is durable.

        :raises OSError: it is not; what is in memory stays to be written.
        """
        with self._turn, self._volume.lock:
            self._bring_up_to_date(self._volume.unlocked)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the image without anyone else, with the lock, and everything written, which is durable after :meth:`settle`.

        What nothing refers to any more may count as used still: giving it back takes time, and is left to a later flush.
        """
        volume = self._volume
        with self._turn, volume.alone():
            volume.check_writable()
            taken = _Taken(volume)
            try:
                taken.write()
            except BaseException:
                taken.put_back()
                raise
            self._unsettled = taken
            if taken.moved:
                self.settle()
            yield
            if self._unsettled is not None:
                self.settle()

    @contextmanager
    def alone_and_flushed(self) -> Iterator[None]:
        """The same, with everything durable, and nothing that counts as used and is not."""
        with self._turn, self._volume.alone():
            self._bring_up_to_date(nullcontext)
            yield

    def settle(self) -> None:
        """Return when everything that was written is durable; by who is alone."""
        taken, self._unsettled = self._unsettled, None
        try:
            self._volume.sync()
        except BaseException:
            if taken is not None:
                taken.put_back()
            raise
        if taken is not None:
            taken.written()

    def _bring_up_to_date(self, writing: Callable[[], AbstractContextManager[None]]) -> None:
        """Flush; with the lock held.

        :param writing: makes what the lock is left by, or kept, while something is written.
        """
        volume = self._volume
        volume.check_writable()
        taken = _Taken(volume)
        try:
            with writing():
                taken.write()
                volume.sync()
        except BaseException:
            taken.put_back()
            raise
        taken.written()
        safe, gone = self._unneeded()
        with writing():
            self.punch(gone)
        self._count_down(safe, gone)
        blocks = _TakenBlocks(volume.refcounts)
        try:
            with writing():
                volume.write(blocks.writes)
        except BaseException:
            blocks.put_back()
            raise

    def _unneeded(self) -> tuple[list[int], list[int]]:
        """What is to be counted down, as often as it is there, and which clusters will be free then."""
        volume = self._volume
        safe = volume.safe_to_free()
        try:
            gone = [cluster for cluster, count in Counter(safe).items() if volume.refcounts.count(cluster) == count]
        except BaseException:
            volume.give_up(0, safe)
            raise
        return safe, sorted(gone)

    def _count_down(self, safe: list[int], gone: list[int]) -> None:
        self._volume.refcounts.add(safe, -1)
        self._volume.metadata.difference_update(gone)

    def punch(self, clusters: list[int]) -> None:
        """Give the space of clusters back, before anybody can use them again; as far as the file can."""
        file, bits = self._volume.file, self._volume.layout.cluster_bits
        if Features.UNMAP not in file.features():
            return
        for first, count in _runs(clusters):
            offset = first << bits
            length = min(count << bits, file.size_bytes - offset)
            if length > 0:
                with suppress(OSError):  # they are free anyway
                    file.unmap(offset, length)


def _runs(clusters: list[int]) -> Iterator[tuple[int, int]]:
    """Clusters side by side, from a sorted list: the first, and how many."""
    start = 0
    for position, cluster in enumerate(clusters):
        if position + 1 == len(clusters) or clusters[position + 1] != cluster + 1:
            yield clusters[start], position + 1 - start
            start = position + 1


class _TakenBlocks:
    """Refcount blocks that are to be written, as they were at one moment; with the lock held."""

    def __init__(self, refcounts: Refcounts) -> None:
        self._refcounts = refcounts
        self._numbers = set(refcounts.dirty_blocks)
        self.writes: Writes = refcounts.taken_blocks()

    def put_back(self) -> None:
        """They may not have been written: they stay to be written."""
        self._refcounts.dirty_blocks |= self._numbers


class _Taken:
    """What is to be written, as it was at one moment; others may go on meanwhile.

    All but :meth:`write` is called with the lock held.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        refcounts, cluster_map = volume.refcounts, volume.map
        self._blocks = _TakenBlocks(refcounts)
        self._entries, refcounts.dirty_entries = refcounts.dirty_entries, set()
        self.moved, refcounts.moved = refcounts.moved, False
        """Whether the refcount table has another place than the header that was there before says."""
        self._numbers, cluster_map.dirty = cluster_map.dirty, set()
        self._roots, cluster_map.dirty_roots = cluster_map.dirty_roots, set()
        self._tables = [cluster_map.tables[number] for number in self._numbers]
        for table in self._tables:
            table.dirty, table.pinned = False, True
        self._era, self._retired = volume.take_retired()
        self._retired_tables, refcounts.retired = refcounts.retired, []

        self._header = volume.header_now()
        if self.moved:
            self._blocks.writes.append((refcounts.table_offset, encoded_words(refcounts.table)))
            refcount_table = []
        else:
            refcount_table = sectors_of(refcounts.table, refcounts.table_offset, self._entries)
        l1 = sectors_of(cluster_map.l1, cluster_map.l1_offset, self._roots)
        tables = [(table.offset, encoded_words(table.words)) for table in self._tables]
        self._steps: list[Writes] = [refcount_table, tables, l1]

    def write(self) -> None:
        """Write it all, step by step, each after what it relies on is durable."""
        volume = self._volume
        volume.write(self._blocks.writes)
        if self.moved:
            volume.sync()
            volume.write([(0, volume.first_sector(self._header))])
        for step in self._steps:
            if step:
                volume.sync()
                volume.write(step)

    def written(self) -> None:
        """It is all durable."""
        self._unpin()
        volume = self._volume
        if self.moved:
            volume.header = self._header
        volume.give_up(self._era, [*self._retired, *self._retired_tables])

    def put_back(self) -> None:
        """It may not have been written: it stays to be written."""
        self._unpin()
        volume = self._volume
        refcounts, cluster_map = volume.refcounts, volume.map
        self._blocks.put_back()
        refcounts.dirty_entries |= self._entries
        refcounts.moved |= self.moved
        refcounts.retired += self._retired_tables
        volume.retired += self._retired
        cluster_map.dirty_roots |= self._roots
        for number, table in zip(self._numbers, self._tables, strict=True):
            if cluster_map.tables.get(number) is table:
                cluster_map.changed(number, table)

    def _unpin(self) -> None:
        for table in self._tables:
            table.pinned = False
