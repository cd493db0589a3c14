"""Header and data digests: CRC32C as RFC 7143 13.1 puts it on the wire (least significant byte first)."""

import struct
from collections.abc import Iterable

from fastcrc.crc32 import iscsi as crc32c

Data = bytes | bytearray | memoryview

_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")
_pack = struct.Struct("<I").pack
_unpack_from = struct.Struct("<I").unpack_from


def padding(length: int) -> bytes:
    """Return the zero bytes that bring a segment of ``length`` bytes to a multiple of four."""
    return _PADDING[length & 3]


def padded(length: int) -> int:
    """Return ``length`` rounded up to a multiple of four."""
    return (length + 3) & ~3


def digest(data: Data) -> bytes:
    """Return the digest of ``data``, which holds its padding already (headers always do)."""
    return _pack(crc32c(data))


def data_digest(chunks: Iterable[Data]) -> bytes:
    """Return the digest of a data segment given in pieces; the padding is added here."""
    value: int | None = None
    length = 0
    for chunk in chunks:
        value = crc32c(chunk, value)
        length += len(chunk)
    if length & 3:
        value = crc32c(_PADDING[length & 3], value)
    return _pack(value or 0)


def digest_matches(buffer: Data, offset: int, covered: Data) -> bool:
    """Tell whether the digest at ``offset`` of ``buffer`` is that of ``covered`` (padding included)."""
    found: int = _unpack_from(buffer, offset)[0]
    return found == crc32c(covered)
