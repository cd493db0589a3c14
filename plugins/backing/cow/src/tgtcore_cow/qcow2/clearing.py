"""Making ranges of the disk read as zeroes."""

from collections.abc import Callable, Iterator

from tgtcore import Features
from tgtcore_cow.qcow2.mapping import NOWHERE, Cluster
from tgtcore_cow.qcow2.reading import BENEATH, ZEROES, Reading
from tgtcore_cow.qcow2.volume import Volume
from tgtcore_cow.qcow2.writing import Writing

_CLUSTERS_AT_ONCE = 512
_ZEROES_BYTES = 1 << 20


class Clearing:
    """Zeroes without writing them: the map says so.

    :param flush: brings the image up to date when much of it was changed.
    """

    def __init__(self, volume: Volume, reading: Reading, writing: Writing, flush: Callable[[], None]) -> None:
        self._volume = volume
        self._reading = reading
        self._writing = writing
        self._flush = flush

    def unmap(self, offset: int, length: int) -> None:
        """Give the space of a range back, as far as the version of the image can say that something reads as zeroes."""
        volume = self._volume
        if volume.backing is None or volume.header.version > 2:
            self._clear(offset, length, self._forget)
        else:
            self._write_zeroes(offset, length)

    def write_zeroes(self, offset: int, length: int) -> None:
        """Zero a range; each of its clusters has a place then, so that later writes find room."""
        if self._volume.header.version > 2:
            self._clear(offset, length, self._reserve)
        else:
            self._write_zeroes(offset, length)

    def drop(self, offset: int, length: int) -> None:
        """Give the space of a range back that the disk has lost; what is beneath may show up in it."""
        self._clear(offset, length, self._drop)

    def _clear(self, offset: int, length: int, clear: Callable[[int, int], int]) -> None:
        volume, layout, end = self._volume, self._volume.layout, offset + length
        first, behind = -(-offset // layout.cluster_bytes), end // layout.cluster_bytes
        if first * layout.cluster_bytes >= end:
            self._write_zeroes(offset, length)
            return
        self._write_zeroes(offset, first * layout.cluster_bytes - offset)
        while first < behind:
            self._relieve()
            count = min(behind - first, layout.l2_entries - first % layout.l2_entries)
            with volume.use():
                first += clear(first, count)
        if rest := end - behind * layout.cluster_bytes:
            self._relieve()
            with volume.use():  # the disk keeps its size meanwhile
                last = end == volume.header.size_bytes
                if last:  # there is nothing behind it in its cluster
                    clear(behind, 1)
            if not last:
                self._write_zeroes(behind * layout.cluster_bytes, rest)

    def _relieve(self) -> None:
        if self._volume.map.crowded:
            self._flush()

    def _write_zeroes(self, offset: int, length: int) -> None:
        """Write zeroes where the map can't say it, unless it reads as zeroes anyway."""
        volume = self._volume
        for position, piece in _split(offset, length):
            with volume.use(), volume.lock:
                volume.check_writable()
                pieces = list(self._reading.pieces(position, piece))
            if any(one.kind != ZEROES and (one.kind != BENEATH or volume.backing is not None) for one in pieces):
                self._writing.write(position, bytes(piece))

    def _forget(self, first: int, count: int) -> int:
        volume = self._volume
        zero = Cluster(0, False, 0, volume.map.all_subclusters)
        return self._unplace(first, count, NOWHERE if volume.backing is None else zero)

    def _drop(self, first: int, count: int) -> int:
        return self._unplace(first, count, NOWHERE)

    def _unplace(self, first: int, count: int, new: Cluster) -> int:
        """Let clusters be nowhere in the file."""
        volume = self._volume
        with volume.lock:
            volume.check_writable()
            if volume.map.table(volume.map.place(first)[0]) is None and new is NOWHERE:
                return count
            count = min(count, _CLUSTERS_AT_ONCE)
            with volume.changing(first, count):
                self._zero_data_file(first, count)
                with volume.lock:
                    for number in range(first, first + count):
                        if volume.map.cluster(number) != new:
                            volume.set(number, new)
        return count

    def _reserve(self, first: int, count: int) -> int:
        volume = self._volume
        count = min(count, _CLUSTERS_AT_ONCE)
        with volume.lock:
            volume.check_writable()
            with volume.changing(first, count):
                self._zero_data_file(first, count)
                for number in range(first, first + count):
                    self._reserve_one(number)
        return count

    def _reserve_one(self, number: int) -> None:
        volume = self._volume
        with volume.lock:
            was = volume.map.cluster(number)
            if was.in_place:
                volume.set(number, was._replace(there=0, zero=volume.map.all_subclusters))
                return
            new = volume.allocate(number, 1)
        with volume.kept_on_success(new), volume.lock:
            volume.set(number, Cluster(new.place, True, 0, volume.map.all_subclusters))

    def _zero_data_file(self, first: int, count: int) -> None:
        """A data file of its own may be read by others too, as a raw image."""
        volume, bits = self._volume, self._volume.layout.cluster_bits
        if volume.data_file is None:
            return
        offset = first << bits
        length = min(count << bits, volume.data_file.size_bytes - offset)
        if length <= 0:
            return
        if Features.UNMAP in volume.data_file.features():
            volume.data_file.unmap(offset, length)
            return
        for position, piece in _split(offset, length):
            volume.data_file.write(position, bytes(piece))


def _split(offset: int, length: int) -> Iterator[tuple[int, int]]:
    """A range in parts, each as offset and length."""
    while length:
        part = min(length, _ZEROES_BYTES)
        yield offset, part
        offset, length = offset + part, length - part
