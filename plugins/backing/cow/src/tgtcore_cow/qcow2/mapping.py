"""The map of an image: its L1 table, and the L2 tables that are in memory.

An entry of an L2 table tells for one cluster of the disk where its data is.  With extended entries a second word tells it for each
of 32 subclusters; without them a cluster is one subcluster.
"""

from array import array
from collections.abc import Mapping
from sys import byteorder
from typing import NamedTuple

from tgtcore import Store
from tgtcore_cow.qcow2 import layout as bits
from tgtcore_cow.qcow2.errors import Corrupt
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.layout import COMPRESSED, COPIED, OFFSET, ZERO, Layout
from tgtcore_cow.qcow2.places import check_place, read_words

TABLES_BYTES_MAX = 32 << 20
"""Most memory for L2 tables; with clusters of 64 KiB they map 256 GiB."""

_TABLES_MIN = 16


class Cluster(NamedTuple):
    """What an entry of an L2 table says.

    :param host: where the cluster is in the file; 0: nowhere.  Of a compressed one, the entry itself.
    :param in_place: nobody else uses it, so it may be overwritten.
    :param there: a bit for each subcluster whose data is at ``host``.
    :param zero: a bit for each subcluster that reads as zeroes, whatever is beneath.
    """

    host: int
    in_place: bool
    there: int
    zero: int
    compressed: bool = False


NOWHERE = Cluster(0, False, 0, 0)


class Table:
    """An L2 table in memory.

    :param offset: where it is in the file.
    """

    __slots__ = ("dirty", "offset", "pinned", "words")

    def __init__(self, words: "array[int]", offset: int) -> None:
        self.words = words
        self.offset = offset
        self.dirty = False
        self.pinned = False
        """Whether it is being written back: what is on the disk may be older."""


class Map:
    """Where each cluster of the disk is.

    :param metadata: clusters of the file that hold the image's tables; no data can be there.
    :raises Corrupt: the L1 table is not where one can be.
    """

    def __init__(self, file: Store, header: Header, metadata: set[int]) -> None:
        self._file = file
        self._layout: Layout = header.layout
        self._metadata = metadata
        self._own_data = not header.has_data_file
        self._words = self._layout.words_per_entry
        self.subclusters = bits.SUBCLUSTERS if header.extended_l2 else 1
        self.all_subclusters = (1 << self.subclusters) - 1
        self.l1_offset = header.l1_offset
        self.l1 = self._read_l1(header)
        self.dirty_roots: set[int] = set()
        """Entries of the L1 table that were changed."""
        self.dirty: set[int] = set()
        """Entries of the L1 table whose L2 tables were changed."""
        self.tables: dict[int, Table] = {}
        self._tables_max = max(TABLES_BYTES_MAX >> self._layout.cluster_bits, _TABLES_MIN)

    def _read_l1(self, header: Header) -> "array[int]":
        if not header.l1_entries:
            return array("Q")
        check_place("the L1 table", header.l1_offset, self._layout.cluster_bytes, self._file)
        return read_words(self._file, header.l1_offset, header.l1_entries)

    # ---- tables -----------------------------------------------------------------------------------------------------

    def table(self, number: int) -> Table | None:
        """The L2 table of an entry of the L1 table; None: nothing there was ever written."""
        table = self.tables.get(number)
        if table is None and (entry := self.l1[number]) & OFFSET:
            words = self.read_table(entry & OFFSET)
            table = Table(words, entry & OFFSET)
            self.put(number, table)
        return table

    def put(self, number: int, table: Table) -> None:
        """Have a table in memory; others that are on the disk too may go for it."""
        tables = self.tables
        if len(tables) >= self._tables_max:
            for old in [one for one, held in tables.items() if not (held.dirty or held.pinned)][: len(tables) // 4 + 1]:
                del tables[old]
        tables[number] = table

    def remember(self, known: "Mapping[int, array[int]]") -> None:
        """Have in memory what is known of L2 tables, by their places; as far as there is room."""
        for number, entry in enumerate(self.l1):
            if len(self.tables) >= self._tables_max:
                return
            words = known.get(entry & OFFSET)
            if words is not None:
                self.tables[number] = Table(words, entry & OFFSET)

    @property
    def crowded(self) -> bool:
        """Whether so many tables were changed that they should be written back."""
        return len(self.dirty) * 2 > self._tables_max

    def read_table(self, offset: int, first: int = 0, stop: int | None = None) -> "array[int]":
        """An L2 table at a place of the file, or its entries from one on and up to another.

        :raises Corrupt: what it says can't be.
        """
        check_place("an L2 table", offset, self._layout.cluster_bytes, self._file)
        entries = (self._layout.l2_entries if stop is None else stop) - first
        words = read_words(self._file, offset + first * self._words * 8, entries * self._words)
        if self._own_data:
            self._check_data(words, offset)
        return words

    def _unmark_nowhere(self, words: "array[int]") -> None:
        """What has no place can't be overwritten there: it would be written where the header is."""
        for word in range(0, len(words), self._words):
            if not words[word] & (OFFSET | COMPRESSED):
                words[word] &= ~COPIED

    def _check_data(self, words: "array[int]", offset: int) -> None:
        """No data may be where the image's tables are, in the header above all."""
        shift = self._layout.cluster_bits
        entries = words[:: self._words]
        told = {entry & (OFFSET | COPIED) for entry in set(entries) if not entry & COMPRESSED}
        if COPIED in told:
            self._unmark_nowhere(words)
        places = {place & OFFSET for place in told}
        places.discard(0)
        unaligned = [place for place in places if place & (self._layout.cluster_bytes - 1)]
        overlapping = unaligned or not {place >> shift for place in places}.isdisjoint(self._metadata)
        if overlapping:
            raise Corrupt(
                f"the L2 table at {offset:#x} says that data is across clusters, or where the image's tables are"
            )

    def changed(self, number: int, table: Table) -> None:
        """A table was changed."""
        table.dirty = True
        self.dirty.add(number)

    def empty_table(self) -> "array[int]":
        """The words of an L2 table that refers to nothing."""
        return array("Q", bytes(self._layout.cluster_bytes))

    def root(self, number: int, table: Table) -> None:
        """Let an entry of the L1 table refer to another table."""
        self.put(number, table)
        self.l1[number] = table.offset | COPIED
        self.dirty_roots.add(number)
        self.changed(number, table)

    # ---- entries ----------------------------------------------------------------------------------------------------

    def place(self, cluster: int) -> tuple[int, int]:
        """For a cluster of the disk: the entry of the L1 table, and the first word in the L2 table."""
        return cluster >> self._layout.l2_bits, (cluster & (self._layout.l2_entries - 1)) * self._words

    def cluster(self, cluster: int) -> Cluster:
        """What the map says of a cluster of the disk."""
        number, word = self.place(cluster)
        table = self.table(number)
        return NOWHERE if table is None else self.decode(table.words, word)

    def decode(self, words: "array[int]", word: int) -> Cluster:
        """What an entry of an L2 table says."""
        entry = words[word]
        if entry & COMPRESSED:
            return Cluster(entry & (COMPRESSED - 1), False, self.all_subclusters, 0, compressed=True)
        host, in_place = entry & OFFSET, bool(entry & COPIED)
        if self._words == 2:
            bitmap = words[word + 1]
            there, zero = bitmap & bits.ALL_SUBCLUSTERS, bitmap >> bits.SUBCLUSTERS
            if there & zero or (there and not host and self._own_data):
                raise Corrupt(
                    f"the entry of the cluster at {host:#x} contradicts itself: subclusters {there:#x}, zeroes {zero:#x}"
                )
            return Cluster(host, in_place, there, zero)
        if entry & ZERO:
            return Cluster(host, in_place, 0, 1)
        return Cluster(host, in_place, 1 if host or (in_place and not self._own_data) else 0, 0)

    def encode(self, words: "array[int]", word: int, cluster: Cluster) -> None:
        """Let an entry say something else; it must not be compressed."""
        entry = cluster.host | (COPIED if cluster.in_place else 0)
        if self._words == 2:
            words[word] = entry
            words[word + 1] = cluster.there | cluster.zero << bits.SUBCLUSTERS
        else:
            words[word] = entry | (ZERO if cluster.zero else 0)

    def used_clusters(self, words: "array[int]") -> list[int]:
        """The clusters of the file that an L2 table refers to, once for each time."""
        if not self._own_data:
            return []
        shift, entries = self._layout.cluster_bits, words[:: self._words]
        used = [(entry & OFFSET) >> shift for entry in entries if entry & OFFSET and not entry & COMPRESSED]
        for entry in entries:
            if entry & COMPRESSED:
                used += compressed_clusters(self._layout, entry)
        return used

    def shared(self, words: "array[int]") -> "array[int]":
        """An L2 table that refers to the same, and by which nothing may be written in place."""
        flags = array("Q", [COPIED, 0][: self._words] * (len(words) // self._words))
        cleared = int.from_bytes(words.tobytes(), byteorder) & ~int.from_bytes(flags.tobytes(), byteorder)
        return array("Q", cleared.to_bytes(len(words) * 8, byteorder))


def compressed_clusters(layout: Layout, entry: int) -> range:
    """The clusters of the file in which the data of a compressed cluster is."""
    offset, length = layout.compressed_place(entry & (COMPRESSED - 1))
    return range(offset >> layout.cluster_bits, ((offset + length - 1) >> layout.cluster_bits) + 1)
