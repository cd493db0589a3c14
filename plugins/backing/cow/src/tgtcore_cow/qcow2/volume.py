"""What the parts of an open image share: its files, what is in memory of its tables, and who may use it now."""

import threading
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from tgtcore import Buffer, Store, StoreError
from tgtcore_cow.qcow2 import snapshot_table
from tgtcore_cow.qcow2.header import Header
from tgtcore_cow.qcow2.layout import COPIED, OFFSET
from tgtcore_cow.qcow2.mapping import Cluster, Map, Table, compressed_clusters
from tgtcore_cow.qcow2.places import SECTOR_BYTES, lengthen
from tgtcore_cow.qcow2.refcounts import Refcounts


class New(NamedTuple):
    """A new place for clusters of the disk.

    :param place: offset in the data.
    :param clusters: how many lie there side by side.
    :param untouched: nobody ever wrote there, so it reads as zeroes.
    :param counted: it is in the image's own file, and has a reference count.
    """

    place: int
    clusters: int
    untouched: bool
    counted: bool


class Volume:
    """An open image.

    What is in memory belongs to whoever holds ``lock``.  Reading and writing of data happens without it, as a use: what a use has
    found in the map stays where it is until the use has ended, for clusters are given back only then.

    :param file: the image; its header was read.
    :param backing: what is read where the image has nothing.
    :param data_file: where the data is, if it has a file of its own.
    """

    def __init__(self, file: Store, header: Header, backing: Store | None, data_file: Store | None) -> None:
        self.file = file
        self.backing = backing
        self.data = data_file or file
        self.data_file = data_file
        self.lock = threading.Lock()
        self.sizing = threading.Lock()
        """Belongs to whoever gives the disk another size."""
        self._growing = threading.Lock()
        self._news = threading.Condition(self.lock)
        self._busy: set[int] = set()
        self._uses: dict[int, int] = {}
        """How many uses began in each era and have not ended."""
        self._era = 0
        self._claimed = False
        """Whether somebody waits until all uses have ended."""
        self.retired: list[int] = []
        """Clusters that the map in memory does not refer to any more, the map on the disk perhaps does."""
        self._waiting: list[tuple[int, list[int]]] = []
        """Clusters that nothing refers to, with the era whose uses may still be in them."""
        self.failure: str | None = None
        """Why nothing can be written any more."""
        self.gone = False
        """Whether the file holds something else now: nothing that was found here counts any more."""
        self.load(header)

    def load(self, header: Header) -> None:
        """Have in memory what the files say, and forget everything else but what is retired: nothing in them refers to that."""
        self.header = header
        self.layout = header.layout
        self.refcounts = Refcounts(self.file, header, self._reserve)
        self._load_map()

    def switched(self, header: Header, tables: "Mapping[int, array[int]]") -> None:
        """The header on the disk is another one now; the reference counts in memory are those that it leads to.

        :param tables: L2 tables that were written for it, by their places.
        """
        known = {table.offset: table.words for table in self.map.tables.values()}
        self.header = header
        self._load_map()
        self.map.remember({**known, **tables})

    def _load_map(self) -> None:
        self.snapshots, self.snapshot_table_bytes = snapshot_table.read(self.file, self.header)
        self.metadata = set(self._fixed_places())
        self.map = Map(self.file, self.header, self.metadata)
        for entry in self.map.l1:
            self.metadata.add((entry & OFFSET) >> self.layout.cluster_bits)

    def header_now(self) -> Header:
        """The header with the refcount table where it is now."""
        refcounts = self.refcounts
        return replace(
            self.header,
            refcount_table_offset=refcounts.table_offset,
            refcount_table_clusters=refcounts.table_clusters,
        )

    def first_sector(self, header: Header) -> bytes:
        """The first sector of the file as it says what a header says."""
        return header.patched(bytes(self.file.read(0, SECTOR_BYTES)))

    def sync(self) -> None:
        """Return when what was written to the files is durable."""
        if self.data_file is not None:
            self.data_file.flush()
        self.file.flush()

    def _fixed_places(self) -> Iterator[int]:
        header = self.header
        yield 0
        yield from self.refcounts.metadata_clusters()
        yield from self._clusters_of(header.l1_offset, header.l1_entries * 8)
        yield from self._clusters_of(header.snapshots_offset, self.snapshot_table_bytes)
        for snapshot in self.snapshots:
            yield from self._clusters_of(snapshot.l1_offset, snapshot.l1_entries * 8)

    def _clusters_of(self, offset: int, length: int) -> range:
        first = offset >> self.layout.cluster_bits
        return range(first, first + self.layout.clusters(length))

    # ---- uses -------------------------------------------------------------------------------------------------------

    @contextmanager
    def use(self) -> Iterator[None]:
        """Read or write data; what the map refers to while this lasts is not used for anything else.

        Not within another one: who waits to be alone would wait for both.
        """
        with self.lock:
            while self._claimed:
                self._news.wait()
            era = self._era
            self._uses[era] = self._uses.get(era, 0) + 1
        try:
            yield
        finally:
            with self.lock:
                self._uses[era] -= 1
                if not self._uses[era]:
                    del self._uses[era]
                    self._news.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the image without anyone else: all uses have ended, and none begins.  Holds the lock; one at a time calls it."""
        with self.lock:
            self._claimed = True
            try:
                while self._uses:
                    self._news.wait()
            finally:
                self._claimed = False
                self._news.notify_all()
            yield

    @contextmanager
    def unlocked(self) -> Iterator[None]:
        """Do without the lock for a while; it is held again at the end."""
        self.lock.release()
        try:
            yield
        finally:
            self.lock.acquire()

    @contextmanager
    def changing(self, first: int, count: int) -> Iterator[None]:
        """Give some clusters of the disk other places, or none: one at a time does that for each cluster.

        Call it with the lock; it is not held in between, and held again at the end.
        """
        wanted = range(first, first + count)
        while not self._busy.isdisjoint(wanted):
            self._news.wait()
        self._busy.update(wanted)
        try:
            with self.unlocked():
                yield
        finally:
            self._busy.difference_update(wanted)
            self._news.notify_all()

    def is_changing(self, cluster: int) -> bool:
        """Whether somebody gives a cluster of the disk another place."""
        return cluster in self._busy

    # ---- the map changes --------------------------------------------------------------------------------------------

    def allocate(self, first: int, most: int) -> New:
        """A new place for clusters of the disk that lie side by side; with the lock held.

        :raises OSError: there is none.
        """
        if self.data_file is not None:
            return New(first << self.layout.cluster_bits, most, untouched=False, counted=False)
        host, count, untouched = self.refcounts.allocate(most)
        new = New(host << self.layout.cluster_bits, count, untouched, counted=True)
        try:
            self._lengthen(self.file, (host + count) << self.layout.cluster_bits)
        except BaseException:
            self.refcounts.give_back(host, count)
            raise
        return new

    @contextmanager
    def kept_on_success(self, new: New) -> Iterator[None]:
        """Give a new place back if what it was for fails."""
        try:
            yield
        except BaseException:
            if new.counted:
                with self.lock:
                    self.refcounts.give_back(new.place >> self.layout.cluster_bits, new.clusters)
            raise

    def put(self, place: int, data: Buffer) -> None:
        """Write data to a place that was allocated."""
        self._lengthen(self.data, place + len(data))
        self.data.write(place, data)

    def write(self, writes: list[tuple[int, bytes]]) -> None:
        """Write tables to places of the image's file, which grows as needed."""
        for offset, data in writes:
            self._lengthen(self.file, offset + len(data))
            self.file.write(offset, data)

    def _lengthen(self, file: Store, end: int) -> None:
        """Make a file at least so long.

        One at a time: who has seen a shorter file than there is by now would cut it off.
        """
        if end > file.size_bytes:
            with self._growing:
                lengthen(file, end)

    def set(self, number: int, new: Cluster) -> None:
        """Let the map say something else of a cluster of the disk; with the lock held."""
        root, word = self.map.place(number)
        table = self._own_table(root)
        was = self.map.decode(table.words, word)
        if was.compressed:
            self.retired += compressed_clusters(self.layout, was.host)
        elif was.host and was.host != new.host and self.data_file is None:
            self.retired.append(was.host >> self.layout.cluster_bits)
        self.map.encode(table.words, word, new)
        self.map.changed(root, table)

    def _own_table(self, root: int) -> Table:
        """An L2 table that may be changed: one that snapshots have too is copied."""
        table = self.map.table(root)
        if table is not None and self.map.l1[root] & COPIED:
            return table
        host, _, _ = self.refcounts.allocate(1)
        own = Table(table.words[:] if table is not None else self.map.empty_table(), host << self.layout.cluster_bits)
        try:
            self._reserve(own.offset, self.layout.cluster_bytes)
        except BaseException:
            self.refcounts.give_back(host, 1)
            raise
        if table is not None:
            self.retired.append(table.offset >> self.layout.cluster_bits)
        self.map.root(root, own)
        self.metadata.add(host)
        return own

    def _reserve(self, offset: int, length: int) -> None:
        """Take the space of clusters now, so that it can't be missing when tables are written there."""
        self.write([(offset, bytes(length))])

    # ---- clusters that are not needed any more ----------------------------------------------------------------------

    def take_retired(self) -> tuple[int, list[int]]:
        """Begin a new era; what was retired in the one that ends, with its number."""
        retired, self.retired = self.retired, []
        self._era += 1
        return self._era - 1, retired

    def give_up(self, era: int, retired: list[int]) -> None:
        """Nothing on the disk refers to some clusters any more."""
        if retired:
            self._waiting.append((era, retired))

    def safe_to_free(self) -> list[int]:
        """Clusters that nothing refers to, and that no use is in; each as often as it was retired."""
        oldest = min(self._uses, default=self._era)
        safe = [cluster for era, clusters in self._waiting if era < oldest for cluster in clusters]
        self._waiting = [one for one in self._waiting if one[0] >= oldest]
        return safe

    def check_writable(self) -> None:
        """Refuse to change anything after a failure that nobody can tell the outcome of.

        :raises StoreError: there was one.
        """
        if self.failure:
            raise StoreError(f"the image takes no writes any more: {self.failure}; open it again")
