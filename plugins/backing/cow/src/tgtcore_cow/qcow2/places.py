"""Reading and writing at places of a file that an image has named: everything there is untrusted, and a file may end early."""

import errno
from array import array
from collections.abc import Iterable
from sys import byteorder

from tgtcore import Buffer, Features, Store
from tgtcore_cow.qcow2.errors import Corrupt

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""

_GROWTH_BYTES_MIN, _GROWTH_BYTES_MAX = 1 << 20, 64 << 20


def read_padded(file: Store, offset: int, length: int) -> Buffer:
    """What is at a place, which need not be made of whole blocks of the file; beyond its end there are zeroes."""
    there = min(length, max(file.size_bytes - offset, 0))
    if (offset | there) & (file.block_bytes - 1):
        start, stop = _whole_blocks(file, offset, there)
        return bytes(file.read(start, min(stop, file.size_bytes) - start))[offset - start :][:there].ljust(
            length, b"\0"
        )
    if there == length > 0:
        return file.read(offset, length)
    return bytes(file.read(offset, there)).ljust(length, b"\0") if there else bytes(length)


def write_part(file: Store, offset: int, data: bytes) -> None:
    """Write to a place that need not be made of whole sectors; what is around it is written again, as it is."""
    start, stop = _whole_blocks(file, offset, len(data))
    lengthen(file, stop)
    around = bytearray(read_padded(file, start, stop - start))
    around[offset - start : offset - start + len(data)] = data
    file.write(start, around)


def _whole_blocks(file: Store, offset: int, length: int) -> tuple[int, int]:
    unit = max(file.block_bytes, SECTOR_BYTES)
    return offset // unit * unit, -(-(offset + length) // unit) * unit


def is_hole(file: Store, offset: int, length: int) -> bool:
    """Whether a place that begins with a block of the file is known to read as zeroes without reading it.

    An image may point to as many holes as its maker likes, of a file that seems endless: they must cost less than reading.
    """
    length = min(-(-length // file.block_bytes) * file.block_bytes, file.size_bytes - offset)
    if length <= 0:
        return True
    if Features.EXTENTS not in file.features():
        return False
    first = next(iter(file.extents(offset, length)), None)
    return first is not None and not first.allocated and first.length >= length


def read_words(file: Store, offset: int, count: int) -> "array[int]":
    """``count`` big-endian words of 8 bytes."""
    words = array("Q", bytes(read_padded(file, offset, count * 8)))
    if byteorder == "little":
        words.byteswap()
    return words


def encoded_words(words: "array[int]") -> bytes:
    """The bytes of big-endian words."""
    if byteorder == "little":
        words = words[:]
        words.byteswap()
    return words.tobytes()


def check_place(what: str, offset: int, cluster_bytes: int, file: Store) -> int:
    """The offset of a cluster, if there can be one of the kind ``what``.

    :raises Corrupt: it lies in the header, beyond the end of the file or across clusters.
    """
    if offset < cluster_bytes or offset % cluster_bytes or offset >= file.size_bytes:
        raise Corrupt(
            f"{what} is at {offset:#x}; expected a multiple of {cluster_bytes:#x} after the header and before the end of the file "
            f"at {file.size_bytes:#x}"
        )
    return offset


def lengthen(file: Store, end: int) -> None:
    """Make a file at least so long, and somewhat longer, so that it is not made longer with every cluster.

    :raises OSError: ENOSPC where the file can't grow.
    """
    if end <= file.size_bytes:
        return
    if Features.RESIZE not in file.features():
        raise OSError(
            errno.ENOSPC, f"the image needs {end} bytes, but what it is in has {file.size_bytes} and can't grow"
        )
    step = min(max(end >> 4, _GROWTH_BYTES_MIN), _GROWTH_BYTES_MAX)
    file.resize(-(-end // step) * step)


def sectors_of(words: "array[int]", offset: int, changed: Iterable[int]) -> list[tuple[int, bytes]]:
    """The sectors of a table that hold some of its words, with their places; the table begins at ``offset`` of the file."""
    per_sector = SECTOR_BYTES >> 3
    sectors = sorted({number // per_sector for number in changed})
    return [
        (
            offset + sector * SECTOR_BYTES,
            encoded_words(words[sector * per_sector : (sector + 1) * per_sector]).ljust(SECTOR_BYTES, b"\0"),
        )
        for sector in sectors
    ]
