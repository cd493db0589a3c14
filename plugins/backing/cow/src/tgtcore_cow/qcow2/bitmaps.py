"""Persistent dirty bitmaps: where they are, and how they are given up.

They say what has changed since a backup.  We don't keep them up, so before we write they are marked as in use, which is what QEMU
does while it has the image, and what a crash of it leaves: nobody takes them for complete then, and they can still be removed.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from tgtcore import Store
from tgtcore_cow.qcow2.errors import Corrupt
from tgtcore_cow.qcow2.header import Autoclear, ExtensionType, Header
from tgtcore_cow.qcow2.places import check_place, read_padded, write_part

_EXTENSION = struct.Struct(">IIQQ")
_ENTRY = struct.Struct(">QIIBBHI")
_FLAGS = struct.Struct(">I")
_FLAGS_AT = 12
_IN_USE = 1
_BITMAPS_MAX = 65535
_DIRECTORY_BYTES_MAX = 64 << 20


class Directory(NamedTuple):
    """Where the directory of bitmaps is.

    :param offset: in the file.
    :param length: in bytes.
    """

    number: int
    offset: int
    length: int


class Bitmap(NamedTuple):
    """An entry of the directory.

    :param position: of the entry in the directory.
    :param offset: where the bitmap's table is in the file.
    :param entries: of the table, 8 bytes each.
    """

    position: int
    offset: int
    entries: int
    flags: int
    name: str


def directory_of(header: Header) -> Directory | None:
    """Where the directory is; None: there are no bitmaps, or they are not valid any more.

    :raises Corrupt: the header's extension can't be right.
    """
    content = header.extension(ExtensionType.BITMAPS)
    if not header.autoclear & Autoclear.BITMAPS or content is None:
        return None
    if len(content) != _EXTENSION.size:
        raise Corrupt(f"the extension has {len(content)} bytes, expected {_EXTENSION.size}")
    number, _, length, offset = _EXTENSION.unpack(content)
    if not 0 < number <= _BITMAPS_MAX or length > _DIRECTORY_BYTES_MAX:
        raise Corrupt(f"there are {number} bitmaps in a directory of {length} bytes")
    return Directory(number, offset, length)


def entries(file: Store, directory: Directory) -> Iterator[Bitmap]:
    """The bitmaps.

    :raises Corrupt: the directory is too short for them.
    """
    encoded = bytes(read_padded(file, directory.offset, directory.length))
    position = 0
    for _ in range(directory.number):
        if position + _ENTRY.size > len(encoded):
            raise Corrupt(f"the directory has {len(encoded)} bytes, too few for {directory.number} bitmaps")
        offset, table_entries, flags, _, _, name_bytes, extra_bytes = _ENTRY.unpack_from(encoded, position)
        end = position + _ENTRY.size + extra_bytes + name_bytes
        if end > len(encoded):
            raise Corrupt(f"the directory has {len(encoded)} bytes, but a bitmap's entry ends at {end}")
        name = encoded[end - name_bytes : end].decode("utf-8", "replace")
        yield Bitmap(position, offset, table_entries, flags, name)
        position = -(-end // 8) * 8


def give_up(file: Store, header: Header) -> bool:
    """Mark all bitmaps as in use; not durable before the next flush.  Returns whether one was not.

    :raises Corrupt: they can't be read.
    """
    directory = directory_of(header)
    if directory is None:
        return False
    check_place("the directory of bitmaps", directory.offset, header.layout.cluster_bytes, file)
    valid = [one for one in entries(file, directory) if not one.flags & _IN_USE]
    for bitmap in valid:
        write_part(file, directory.offset + bitmap.position + _FLAGS_AT, _FLAGS.pack(bitmap.flags | _IN_USE))
    return bool(valid)
