"""Reading an image."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from tgtcore import Buffer, Extent, Features, Store
from tgtcore_cow.qcow2.compression import decompress
from tgtcore_cow.qcow2.layout import COPIED, OFFSET
from tgtcore_cow.qcow2.mapping import Cluster
from tgtcore_cow.qcow2.places import read_padded
from tgtcore_cow.qcow2.volume import Volume

_UNPACKED_MAX = 4
"""How many compressed clusters are kept as they are read: small reads one after the other unpack each only once."""

_PLAIN = ~(OFFSET | COPIED)
"""Bits that an entry has which is anything else than data in a place of its own."""

HERE, BENEATH, ZEROES, PACKED = range(4)
"""Where a piece of the disk is: in the image's data, in what is beneath it, nowhere, or in a compressed cluster."""


class Piece(NamedTuple):
    """A piece of the disk that is in one place.

    :param kind: HERE, BENEATH, ZEROES or PACKED.
    :param place: offset in the data, offset of the disk, or the entry of the compressed cluster.
    :param skip: where in the compressed cluster it begins.
    """

    kind: int
    place: int
    length: int
    skip: int = 0


class Reading:
    """Reads the disk of an image."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._unpacked: OrderedDict[int, bytes] = OrderedDict()

    def read(self, offset: int, length: int) -> Buffer:
        """Bytes of the disk; may block."""
        with self._volume.use():
            return self.read_in_use(offset, length)

    def read_in_use(self, offset: int, length: int) -> Buffer:
        """The same, within a use."""
        with self._volume.lock:
            pieces = list(self.pieces(offset, length))
        if len(pieces) == 1:
            return self._read(pieces[0])
        return b"".join(self._read(piece) for piece in pieces)

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        """The same, if it is all in one place, and in memory there."""
        volume = self._volume
        if not volume.lock.acquire(blocking=False):
            return None
        try:
            bits = volume.layout.cluster_bits
            within = offset & (volume.layout.cluster_bytes - 1)
            if within + length <= volume.layout.cluster_bytes and volume.map.subclusters == 1:
                number, word = volume.map.place(offset >> bits)
                table = volume.map.tables.get(number)
                if table is None:
                    return self._read_elsewhere(BENEATH, offset, length) if not volume.map.l1[number] else None
                entry = table.words[word]
                if entry & OFFSET and not entry & _PLAIN:
                    place = (entry & OFFSET) + within
                    return volume.data.read_nowait(place, length) if place + length <= volume.data.size_bytes else None
            return self._read_pieces_nowait(offset, length)
        finally:
            volume.lock.release()

    def _read_pieces_nowait(self, offset: int, length: int) -> Buffer | None:
        volume = self._volume
        first = volume.map.place(offset >> volume.layout.cluster_bits)[0]
        last = volume.map.place((offset + length - 1) >> volume.layout.cluster_bits)[0]
        if any(number not in volume.map.tables and volume.map.l1[number] for number in range(first, last + 1)):
            return None
        found = []
        for piece in self.pieces(offset, length):
            data = self._read_elsewhere(piece.kind, piece.place, piece.length)
            if data is None:
                return None
            found.append(data)
        return found[0] if len(found) == 1 else b"".join(found)

    def _read_elsewhere(self, kind: int, place: int, length: int) -> Buffer | None:
        volume = self._volume
        if kind == HERE:
            return volume.data.read_nowait(place, length) if place + length <= volume.data.size_bytes else None
        if kind == BENEATH and volume.backing is not None and place < volume.backing.size_bytes:
            return volume.backing.read_nowait(place, length) if place + length <= volume.backing.size_bytes else None
        return None if kind == PACKED else bytes(length)

    def _read(self, piece: Piece) -> Buffer:
        volume = self._volume
        if piece.kind == HERE:
            return read_padded(volume.data, piece.place, piece.length)
        if piece.kind == BENEATH and volume.backing is not None:
            return read_padded(volume.backing, piece.place, piece.length)
        if piece.kind == PACKED:
            return self._unpack(piece.place)[piece.skip : piece.skip + piece.length]
        return bytes(piece.length)

    def _unpack(self, entry: int) -> bytes:
        """The content of a compressed cluster."""
        volume = self._volume
        with volume.lock:
            known = self._unpacked.get(entry)
        if known is not None:
            return known
        offset, length = volume.layout.compressed_place(entry)
        packed = bytes(read_padded(volume.file, offset, length))
        found = decompress(volume.header.compression, packed, volume.layout.cluster_bytes)
        with volume.lock:
            self._unpacked[entry] = found
            if len(self._unpacked) > _UNPACKED_MAX:
                self._unpacked.popitem(last=False)
        return found

    # ---- where what is ----------------------------------------------------------------------------------------------

    def pieces(self, offset: int, length: int) -> Iterator[Piece]:
        """Where a range of the disk is, in order; with the lock held."""
        last: Piece | None = None
        for piece in self._single_pieces(offset, length):
            if last is not None and piece.kind == last.kind and _follows(last, piece):
                last = last._replace(length=last.length + piece.length)
                continue
            if last is not None:
                yield last
            last = piece
        if last is not None:
            yield last

    def _single_pieces(self, offset: int, length: int) -> Iterator[Piece]:
        layout, cluster_map = self._volume.layout, self._volume.map
        end = offset + length
        while offset < end:
            number, word = cluster_map.place(offset >> layout.cluster_bits)
            table = cluster_map.table(number)
            if table is None:
                piece = min((number + 1) * layout.bytes_per_l2, end) - offset
                yield Piece(BENEATH, offset, piece)
                offset += piece
                continue
            within = offset & (layout.cluster_bytes - 1)
            piece = min(layout.cluster_bytes - within, end - offset)
            cluster = cluster_map.decode(table.words, word)
            if cluster.compressed:
                yield Piece(PACKED, cluster.host, piece, within)
            else:
                yield from self._subclusters(cluster, offset, within, piece)
            offset += piece

    def _subclusters(self, cluster: Cluster, offset: int, within: int, length: int) -> Iterator[Piece]:
        size = self._volume.layout.subcluster_bytes
        start, end = within, within + length
        while start < end:
            bit = 1 << start // size
            stop = min((start // size + 1) * size, end)
            if cluster.there & bit:
                yield Piece(HERE, cluster.host + start, stop - start)
            elif cluster.zero & bit:
                yield Piece(ZEROES, 0, stop - start)
            else:
                yield Piece(BENEATH, offset + start - within, stop - start)
            start = stop

    def extents(self, offset: int, length: int) -> list[Extent]:
        """Where space is taken, here or beneath; at most as much of it as one L2 table maps, or as nothing maps at all."""
        volume = self._volume
        found: list[Extent] = []
        with volume.use():
            with volume.lock:
                pieces = list(self.pieces(offset, min(length, volume.layout.bytes_per_l2)))
            for piece in pieces:
                if piece.kind == BENEATH:
                    found += _extents_beneath(volume.backing, piece)
                else:
                    found.append(Extent(offset, piece.length, piece.kind != ZEROES))
                offset += piece.length
        return found


def _follows(last: Piece, piece: Piece) -> bool:
    """Whether a piece continues the last one, so that both can be read at once."""
    return last.kind == ZEROES or (last.kind != PACKED and last.place + last.length == piece.place)


def _extents_beneath(backing: Store | None, piece: Piece) -> Iterator[Extent]:
    """The image beneath has the same offsets."""
    there = max(min(piece.length, backing.size_bytes - piece.place), 0) if backing is not None else 0
    if there and backing is not None:
        if Features.EXTENTS in backing.features():
            position, end = piece.place, piece.place + there
            while position < end:
                for extent in backing.extents(position, end - position):
                    yield extent
                    position += extent.length
        else:
            yield Extent(piece.place, there, True)
    if there < piece.length:
        yield Extent(piece.place + there, piece.length - there, False)
