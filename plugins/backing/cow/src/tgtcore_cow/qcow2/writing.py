"""Writing to an image."""

from collections.abc import Callable

from tgtcore import Buffer, Features
from tgtcore_cow.qcow2.layout import COPIED, OFFSET
from tgtcore_cow.qcow2.mapping import Cluster, Table
from tgtcore_cow.qcow2.reading import Reading
from tgtcore_cow.qcow2.volume import Volume

_FLAGS = ~(OFFSET | COPIED)
_CLUSTERS_AT_ONCE = 64
"""How many clusters of the disk are given places at once."""


class Writing:
    """Writes to the disk of an image.

    :param reading: reads what a write leaves of a cluster that it moves.
    :param flush: brings the image up to date when much of it was changed.
    """

    def __init__(self, volume: Volume, reading: Reading, flush: Callable[[], None]) -> None:
        self._volume = volume
        self._reading = reading
        self._flush = flush

    # ---- writes -----------------------------------------------------------------------------------------------------

    def write(self, offset: int, data: Buffer) -> None:
        """Write bytes of the disk; may block."""
        volume = self._volume
        rest = memoryview(data)
        while rest:
            self._relieve()
            with volume.use():
                written = self._write_some(offset, rest)
            offset += written
            rest = rest[written:]

    def _relieve(self) -> None:
        if self._volume.map.crowded:
            self._flush()

    def _write_some(self, offset: int, data: memoryview) -> int:
        """Write the beginning of some data, as far as one write goes; returns how much that was."""
        volume, layout = self._volume, self._volume.layout
        first, within = divmod(offset, layout.cluster_bytes)
        with volume.lock:
            volume.check_writable()
            place, length = self._in_place(offset, len(data))
            if not length:
                if not within and len(data) >= layout.cluster_bytes and (count := self._homeless(first, len(data))):
                    return self._write_whole(first, count, data)
                return self._write_part(first, within, data[: layout.cluster_bytes - within])
        volume.data.write(place, data[:length])
        return length

    def _in_place(self, offset: int, length: int) -> tuple[int, int]:
        """Where the beginning of a range may be overwritten, and how much of it."""
        volume, layout = self._volume, self._volume.layout
        place, end, position = 0, offset + length, offset
        while position < end:
            cluster, within = divmod(position, layout.cluster_bytes)
            if volume.is_changing(cluster):
                break
            found = volume.map.cluster(cluster)
            stop = min(layout.cluster_bytes, within + end - position)
            if not found.in_place or (self._subclusters(within, stop) & ~found.there):
                break
            if found.host + stop > volume.data.size_bytes:
                break
            if position == offset:
                place = found.host + within
            elif found.host + within != place + position - offset:
                break
            position += stop - within
        return place, position - offset

    def _subclusters(self, start: int, stop: int) -> int:
        """A bit for each subcluster that a range of a cluster touches."""
        size = self._volume.layout.subcluster_bytes
        first, last = start // size, (stop - 1) // size
        return (1 << last + 1) - (1 << first)

    def _homeless(self, first: int, length: int) -> int:
        """How many whole clusters from one on need a new place."""
        volume, layout = self._volume, self._volume.layout
        most = min(length >> layout.cluster_bits, _CLUSTERS_AT_ONCE, layout.l2_entries - first % layout.l2_entries)
        count = 0
        while count < most and not volume.is_changing(first + count) and not self._keeps_place(first + count):
            count += 1
        return count

    def _keeps_place(self, cluster: int) -> bool:
        found = self._volume.map.cluster(cluster)
        return found.in_place and not found.compressed

    def _write_whole(self, first: int, count: int, data: memoryview) -> int:
        """Write whole clusters to a new place; with the lock held, and not while data is written."""
        volume, layout = self._volume, self._volume.layout
        new = volume.allocate(first, count)
        length = new.clusters << layout.cluster_bits
        with volume.changing(first, new.clusters), volume.kept_on_success(new):
            volume.put(new.place, data[:length])
            with volume.lock:
                for number in range(new.clusters):
                    place = new.place + (number << layout.cluster_bits)
                    volume.set(first + number, Cluster(place, True, volume.map.all_subclusters, 0))
        return length

    def _write_part(self, number: int, within: int, data: memoryview) -> int:
        """Write to one cluster that can't simply be overwritten; with the lock held, and not while data is written."""
        volume = self._volume
        with volume.changing(number, 1):
            with volume.lock:
                was = volume.map.cluster(number)
            if was.in_place:
                self._fill(number, was, within, data)
            else:
                self._move(number, was, within, data)
        return len(data)

    def _fill(self, number: int, was: Cluster, within: int, data: memoryview) -> None:
        """Write to a cluster that has a place, and fill up its subclusters that were not there.

        Those that are there others may write to as well, so nothing but the data goes to them.
        """
        volume, size = self._volume, self._volume.layout.subcluster_bytes
        start, end = within, within + len(data)
        while start < end:
            there = bool(was.there >> start // size & 1)
            stop = start
            while stop < end and bool(was.there >> stop // size & 1) == there:
                stop = min((stop // size + 1) * size, end)
            piece = data[start - within : stop - within]
            if there:
                volume.put(was.host + start, piece)
            else:
                begin, finish = start // size * size, -(-stop // size) * size
                volume.put(was.host + begin, self._around(number, begin, finish, start, piece))
            start = stop
        touched = self._subclusters(within, end)
        with volume.lock:
            volume.set(number, Cluster(was.host, True, was.there | touched, was.zero & ~touched))

    def _move(self, number: int, was: Cluster, within: int, data: memoryview) -> None:
        """Write to a cluster, which gets a place of its own, and takes with it what else it has."""
        volume, layout = self._volume, self._volume.layout
        wanted = self._subclusters(within, within + len(data)) | was.there
        first, last = (wanted & -wanted).bit_length() - 1, wanted.bit_length()
        there = (1 << last) - (1 << first)
        with volume.lock:
            new = volume.allocate(number, 1)
        with volume.kept_on_success(new):
            if new.untouched and not was.there and (was.zero or volume.backing is None):
                volume.put(new.place + within, data)  # all around is zero there already
            else:
                begin, finish = first * layout.subcluster_bytes, last * layout.subcluster_bytes
                volume.put(new.place + begin, self._around(number, begin, finish, within, data))
            with volume.lock:
                volume.set(number, Cluster(new.place, True, there, was.zero & ~there))

    def _around(self, number: int, begin: int, finish: int, start: int, data: memoryview) -> Buffer:
        """A range of a cluster with some data in it, and before and behind what is there now.

        Beyond the end of the disk that is zeroes: what is beneath may be longer.
        """
        if begin == start and finish == start + len(data):
            return data
        offset, size = number << self._volume.layout.cluster_bits, self._volume.header.size_bytes
        made = bytearray(finish - begin)
        for low, high in ((begin, start), (start + len(data), finish)):
            there = min(high, size - offset)
            if low < there:
                made[low - begin : there - begin] = self._reading.read_in_use(offset + low, there - low)
        made[start - begin : start - begin + len(data)] = data
        return made

    def write_through(self, offset: int, data: Buffer) -> None:
        """Write bytes of the disk, durable on return."""
        volume = self._volume
        rest = memoryview(data)
        if Features.WRITE_THROUGH in volume.data.features():
            with volume.use():
                with volume.lock:
                    volume.check_writable()
                    place, length = self._in_place(offset, len(rest))
                    if length < len(rest) or not self._on_disk(offset, length):
                        length = 0
                if length:
                    volume.data.write_through(place, rest)
                    return
        self.write(offset, rest)
        self._flush()

    def _on_disk(self, offset: int, length: int) -> bool:
        """Whether the disk knows where a range is."""
        cluster_map, bits = self._volume.map, self._volume.layout.cluster_bits
        first = cluster_map.place(offset >> bits)[0]
        last = cluster_map.place((offset + length - 1) >> bits)[0]
        tables = [cluster_map.tables.get(number) for number in range(first, last + 1)]
        return not any(table is None or table.dirty or table.pinned for table in tables)

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """Write to one cluster, if neither that nor finding it a place has to wait."""
        volume = self._volume
        if not volume.lock.acquire(blocking=False):
            return False
        try:
            bits = volume.layout.cluster_bits
            number, within = offset >> bits, offset & (volume.layout.cluster_bytes - 1)
            cluster_map = volume.map
            if (
                within + len(data) > volume.layout.cluster_bytes
                or cluster_map.subclusters > 1
                or volume.failure
                or volume.is_changing(number)
            ):
                return False
            root, word = cluster_map.place(number)
            table = cluster_map.tables.get(root)
            if table is None:
                return False
            entry = table.words[word]
            if entry & COPIED and not entry & _FLAGS:
                place = (entry & OFFSET) + within
                return place + len(data) <= volume.data.size_bytes and volume.data.write_nowait(place, data)
            if entry or volume.backing is not None or volume.data_file is not None:
                return False
            return self._write_new_nowait(root, table, word, within, data)
        finally:
            volume.lock.release()

    def _write_new_nowait(self, root: int, table: Table, word: int, within: int, data: Buffer) -> bool:
        """Write to a cluster that was never written."""
        volume, refcounts = self._volume, self._volume.refcounts
        if not volume.map.l1[root] & COPIED or volume.map.crowded:
            return False
        cluster = refcounts.next_free()
        if cluster is None or cluster < refcounts.untouched_from:
            return False
        place = cluster << volume.layout.cluster_bits
        if place + volume.layout.cluster_bytes > volume.file.size_bytes:
            return False
        refcounts.take(cluster)
        written = False
        try:
            written = volume.file.write_nowait(place + within, data)
        finally:
            if not written:
                refcounts.give_back(cluster, 1)
        if written:
            table.words[word] = place | COPIED
            volume.map.changed(root, table)
        return written
