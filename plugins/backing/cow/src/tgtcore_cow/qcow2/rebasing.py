"""Letting an image stand on something else, with the same content."""

from collections.abc import Iterator
from dataclasses import replace

from tgtcore import Buffer, Store
from tgtcore_cow.qcow2.copying import STEP_BYTES, clear, pieces_of
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.header import ExtensionType
from tgtcore_cow.qcow2.image import Image, read_header
from tgtcore_cow.qcow2.places import SECTOR_BYTES, is_hole, read_padded
from tgtcore_cow.qcow2.reading import BENEATH


class Nothing(Store):
    """What an image stands on that stands on no other: it has no bytes, and zeroes are read behind its end."""

    size_bytes = 0

    def read(self, offset: int, length: int) -> Buffer:
        """There is nothing to read."""
        return bytes(length)


def keep_content(image: Image, old: Store, new: Store) -> Iterator[int]:
    """Let an image itself have what reads otherwise on something else; says after each step up to where that is done.

    :param old: what the image was opened with.
    """
    for offset, piece in pieces_of(image.volume, image.reading, image.size_bytes):
        end = offset + piece.length
        if piece.kind == BENEATH:
            for position in range(offset, end, STEP_BYTES):
                _keep(image, old, new, position, min(STEP_BYTES, end - position))
                yield min(position + STEP_BYTES, end)
        else:
            yield end


def _keep(image: Image, old: Store, new: Store, offset: int, length: int) -> None:
    if is_hole(old, offset, length) and is_hole(new, offset, length):
        return
    present, later = (memoryview(bytes(read_padded(one, offset, length))) for one in (old, new))
    if present == later:
        return
    unit = image.volume.layout.subcluster_bytes
    start = 0
    while start < length:
        stop = start
        while stop < length and present[stop : stop + unit] != later[stop : stop + unit]:
            stop += unit
        if stop > start:
            kept = present[start:stop]
            if any(kept):
                image.write(offset + start, kept)
            else:
                clear(image, offset + start, len(kept))
        start = stop + unit


def name_backing(file: Store, name: str, backing_format: str) -> None:
    """Let the header of an image name another backing file, or none.

    A crash leaves the one or the other: the first sector alone tells which, and what it refers to is written before it.

    :raises ImageError: there is no room in the header.
    """
    header = read_header(file)
    header = replace(header, backing_file=name).with_extension(
        ExtensionType.BACKING_FORMAT, backing_format.encode() if name else None
    )
    whole = header.encode()
    if len(whole) > SECTOR_BYTES:
        far = _far(file, len(whole))
        bridge = header.bridge(far)
        if len(bridge) > SECTOR_BYTES or far + len(name.encode("utf-8", "surrogateescape")) > 1 << header.cluster_bits:
            raise ImageError("the header has no room for the name of a backing file beside the present one")
        if name:
            _write(file, far, name.encode("utf-8", "surrogateescape"))
        _write(file, 0, bridge)
        _write(file, SECTOR_BYTES, whole[SECTOR_BYTES:])
    _write(file, 0, whole[:SECTOR_BYTES])


def _far(file: Store, length: int) -> int:
    """A place in the header's cluster behind all that was and will be there."""
    present = read_header(file)
    first = bytes(file.read(0, SECTOR_BYTES))
    name_end = int.from_bytes(first[8:16], "big") + int.from_bytes(first[16:20], "big")
    end = max(length, len(present.encode()), name_end)
    return -(-end // SECTOR_BYTES) * SECTOR_BYTES


def _write(file: Store, offset: int, data: bytes) -> None:
    """Write whole sectors, durably."""
    file.write(offset, data.ljust(-(-len(data) // SECTOR_BYTES) * SECTOR_BYTES, b"\0"))
    file.flush()
