"""Reading compressed clusters."""

import sys
import zlib
from collections.abc import Callable

from tgtcore_cow.qcow2.errors import Corrupt

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_WINDOW_BITS = -15
"""Deflate without a header; the specification says a window of 4 KiB, and writers keep to that or take more."""


def _inflate(data: bytes, length: int) -> bytes:
    return zlib.decompressobj(_WINDOW_BITS).decompress(data, length)


def _unpack_zstd(data: bytes, length: int) -> bytes:
    return zstd.ZstdDecompressor().decompress(data, length)


_METHODS: dict[str, Callable[[bytes, int], bytes]] = {"zlib": _inflate, "zstd": _unpack_zstd}


def decompress(method: str, data: bytes, length: int) -> bytes:
    """The ``length`` bytes that some data stands for; there may be other bytes behind it.

    :param method: one of :data:`~tgtcore_cow.qcow2.header.COMPRESSIONS`.
    :raises Corrupt: it does not stand for so many bytes.
    """
    try:
        found = _METHODS[method](data, length)
    except (zlib.error, zstd.ZstdError) as error:
        raise Corrupt(f"a compressed cluster can't be read: {error}") from error
    if len(found) != length:
        raise Corrupt(f"a compressed cluster has {len(found)} bytes, expected {length}")
    return found
