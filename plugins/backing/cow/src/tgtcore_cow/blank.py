"""Whether there is anything in a store that a new image would destroy."""

from collections.abc import Iterator

from tgtcore import Features, Store

_LOOKED_AT_BYTES_MAX = 1 << 30
_PIECE_BYTES = 1 << 20


def is_blank(store: Store) -> bool:
    """Whether a store reads as zeroes from end to end.

    Where it has no space allocated it need not be read; of the rest 1 GiB is looked at, and if that is not all of it, the answer is
    no.
    """
    looked_at = 0
    for offset, length in _allocated(store):
        while length:
            piece = min(length, _PIECE_BYTES)
            looked_at += piece
            if looked_at > _LOOKED_AT_BYTES_MAX or bytes(store.read(offset, piece)).strip(b"\0"):
                return False
            offset, length = offset + piece, length - piece
    return True


def _allocated(store: Store) -> Iterator[tuple[int, int]]:
    if Features.EXTENTS not in store.features():
        yield 0, store.size_bytes
        return
    position = 0
    while position < store.size_bytes:
        for extent in store.extents(position, store.size_bytes - position):
            position = extent.offset + extent.length
            if extent.allocated:
                yield extent.offset, extent.length
