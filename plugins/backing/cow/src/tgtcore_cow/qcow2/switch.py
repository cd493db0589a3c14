"""Changing an image at one stroke.

What an ordinary write changes reaches the disk piece by piece.  A snapshot changes too much for that: reference counts and the
flags that say so would contradict each other in between.  So everything that changes is written to new places, the reference
counts and their table too, and then one sector, the header's first, says where it all is.  A power cut leaves the image before or
the one after.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from tgtcore_cow.qcow2.places import encoded_words
from tgtcore_cow.qcow2.volume import Volume
from tgtcore_cow.qcow2.write_back import WriteBack


class Switch:
    """One such change, under way.  Everything is called by one who has the image alone, with everything written."""

    def __init__(self, volume: Volume, write_back: WriteBack) -> None:
        self._volume = volume
        self._write_back = write_back
        self._writes: list[tuple[int, bytes]] = []
        self._tables: dict[int, array[int]] = {}
        """L2 tables by their new places."""
        self._used: list[int] = []
        self._dropped: list[int] = []
        """Clusters that are used once more, or less, after it: as often as they are there."""
        self.durable = False
        """Whether the image is the one after it, for good."""

    def place(self, content: bytes) -> int:
        """Write something to a new place, in clusters side by side; returns its offset."""
        layout = self._volume.layout
        count = max(layout.clusters(len(content)), 1)
        offset = self._volume.refcounts.allocate_together(count) << layout.cluster_bits
        self._writes.append((offset, content.ljust(count << layout.cluster_bits, b"\0")))
        return offset

    def place_words(self, words: "array[int]") -> int:
        """Write a table to a new place; returns its offset."""
        return self.place(encoded_words(words))

    def place_table(self, words: "array[int]") -> int:
        """Write an L2 table to a new place; returns its offset."""
        offset = self.place_words(words)
        self._tables[offset] = words
        return offset

    def use_again(self, clusters: Iterable[int]) -> None:
        """Clusters are used once more after it."""
        self._used += clusters

    def drop(self, clusters: Iterable[int]) -> None:
        """Clusters are used once less after it."""
        self._dropped += clusters

    def drop_place(self, offset: int, length: int) -> None:
        """What is in clusters side by side is not needed after it."""
        first = offset >> self._volume.layout.cluster_bits
        self.drop(range(first, first + max(self._volume.layout.clusters(length), 1)))

    def carry_out(self, **changes: Any) -> None:
        """Do it.

        :param changes: fields of the header that have other values after it.
        :raises OSError: EMLINK when the reference counts can't tell how often something is used after it.
        """
        volume = self._volume
        self._count_up()
        self._move_refcounts()
        volume.refcounts.add(self._dropped, -1)
        self._writes += self._refcount_writes()
        volume.write(self._writes)
        self._write_back.settle()
        header = replace(volume.header_now(), **changes)
        sector = volume.first_sector(header)
        volume.failure = "nobody knows whether its header was written"
        volume.file.write(0, sector)
        volume.sync()
        self.durable = True
        volume.failure = None
        volume.switched(header, self._tables)

    def _count_up(self) -> None:
        """Count what is used more often; of what is dropped as well only the difference counts."""
        if set(self._dropped).isdisjoint(self._used):
            self._volume.refcounts.add(self._used, 1)
            return
        dropped = Counter(self._dropped)
        used = []
        for cluster in self._used:
            if dropped.get(cluster):
                dropped[cluster] -= 1
            else:
                used.append(cluster)
        self._volume.refcounts.add(used, 1)
        self._dropped = list(dropped.elements())

    def _move_refcounts(self) -> None:
        """Give a new place to the refcount table and to every block that changes; then to those that change by that, and so on."""
        refcounts, bits = self._volume.refcounts, self._volume.layout.cluster_bits
        self._move_table()
        new_places: dict[int, int] = {}
        touched = refcounts.numbers(self._dropped)
        while pending := (touched | refcounts.dirty_blocks) - new_places.keys() - refcounts.dirty_entries:
            old_places = [refcounts.block_offset(number) >> bits for number in pending]
            for number in pending:
                refcounts.block(number)  # read it while the table tells where it is
                new_places[number] = refcounts.allocate_together(1)
            self.drop(old_places)
            touched |= refcounts.numbers(old_places)
        for number, cluster in new_places.items():
            refcounts.table[number] = cluster << bits

    def _move_table(self) -> None:
        """Give the refcount table a new place, if it has none yet, with room for all that is to come."""
        refcounts, bits = self._volume.refcounts, self._volume.layout.cluster_bits
        refcounts.make_room(len(refcounts.table) + refcounts.table_clusters)
        if refcounts.moved:
            self.drop(refcounts.retired)
        else:
            table = refcounts.allocate_together(refcounts.table_clusters)
            self.drop_place(refcounts.table_offset, refcounts.table_clusters << bits)
            refcounts.table_offset = table << bits

    def _refcount_writes(self) -> list[tuple[int, bytes]]:
        refcounts = self._volume.refcounts
        writes = refcounts.taken_blocks()
        writes.append((refcounts.table_offset, encoded_words(refcounts.table)))
        refcounts.dirty_entries.clear()
        refcounts.retired.clear()
        refcounts.moved = False
        return writes


@contextmanager
def switching_beside(volume: Volume, write_back: WriteBack) -> Iterator[Switch]:
    """As :func:`switching`, beside others: everything is flushed first, so that little is left to do while they wait."""
    write_back.flush()
    with write_back.alone_and_flushed(), _switching(volume, write_back) as switch:
        yield switch


@contextmanager
def switching(volume: Volume, write_back: WriteBack) -> Iterator[Switch]:
    """Change an image at one stroke; whatever goes wrong before that, it stays as it is, and nothing that goes wrong later matters.

    Nobody else uses the image meanwhile.  Everything is written first; what becomes of it is durable no later than the change.
    """
    with write_back.alone(), _switching(volume, write_back) as switch:
        yield switch


@contextmanager
def _switching(volume: Volume, write_back: WriteBack) -> Iterator[Switch]:
    untouched_from = volume.refcounts.untouched_from
    switch = Switch(volume, write_back)
    try:
        yield switch
    except BaseException as error:
        if volume.failure is None:
            with suppress(Exception):
                write_back.settle()  # so that nothing is lost of what was retired
            volume.failure = "what is on the disk could not be read again"
            volume.load(volume.header)
            volume.failure = None
            volume.refcounts.untouched_from = max(untouched_from, volume.refcounts.untouched_from)
        if not switch.durable or not isinstance(error, Exception):
            raise
