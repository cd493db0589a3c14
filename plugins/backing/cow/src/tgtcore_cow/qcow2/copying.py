"""Copying the disk of an image piece by piece: what takes no space takes none in the copy either."""

from collections.abc import Iterator

from tgtcore import Features, Store
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.frozen import Frozen
from tgtcore_cow.qcow2.image import Image
from tgtcore_cow.qcow2.places import SECTOR_BYTES
from tgtcore_cow.qcow2.reading import BENEATH, ZEROES, Piece, Reading
from tgtcore_cow.qcow2.volume import Volume

STEP_BYTES = 4 << 20
"""How much is copied at once: some milliseconds of work."""

_ZEROES = memoryview(bytes(1 << 20))


def copy_own(volume: Volume, reading: Reading, size_bytes: int, into: Store) -> Iterator[int]:
    """Copy what an image has itself, not what is beneath it; says after each step up to where that is done.

    :param into: as long as that or longer; reads as what is beneath where the image has nothing.
    """
    for offset, piece in pieces_of(volume, reading, size_bytes):
        if piece.kind == ZEROES:
            clear(into, offset, piece.length)
        elif piece.kind != BENEATH:
            into.write(offset, reading.read(offset, piece.length))
        yield offset + piece.length


def pieces_of(volume: Volume, reading: Reading, size_bytes: int) -> Iterator[tuple[int, Piece]]:
    """The pieces of a disk with their offsets, none longer than a step, unless there is nothing to copy in it."""
    offset = 0
    while offset < size_bytes:
        with volume.lock:
            pieces = list(reading.pieces(offset, min(volume.layout.bytes_per_l2, size_bytes - offset)))
        for whole in pieces:
            piece = whole
            while piece.length > STEP_BYTES and piece.kind not in (BENEATH, ZEROES):
                yield offset, piece._replace(length=STEP_BYTES)
                offset += STEP_BYTES
                piece = piece._replace(place=piece.place + STEP_BYTES, length=piece.length - STEP_BYTES)
            yield offset, piece
            offset += piece.length


def clear(store: Store, offset: int, length: int) -> None:
    """Let a range read as zeroes, without space if the store can do that."""
    if Features.UNMAP in store.features():
        store.unmap(offset, length)
        return
    end = offset + length
    for position in range(offset, end, len(_ZEROES)):
        store.write(position, _ZEROES[: end - position])


def clone(frozen: Frozen, file: Store, backing_file: str, backing_format: str) -> Iterator[int]:
    """Make a new image of a snapshot, with the same options; says after each step up to where that is done.

    After the last one all of it is durable.

    :param backing_file: what the new image shall call that on which the other one stands.
    """
    header = frozen.volume.header
    size_bytes = header.size_bytes // SECTOR_BYTES * SECTOR_BYTES
    options = CreateOptions(
        size_bytes=size_bytes,
        version=header.version,
        cluster_bytes=header.layout.cluster_bytes,
        refcount_bits=1 << header.refcount_order,
        extended_l2=header.extended_l2,
        compression=header.compression,
        lazy_refcounts=header.lazy_refcounts,
        backing_file=backing_file,
        backing_format=backing_format,
    )
    create(file, options)
    image = Image(file, backing=frozen.volume.backing)
    yield from copy_own(frozen.volume, frozen.reading, size_bytes, image)
    image.close()
