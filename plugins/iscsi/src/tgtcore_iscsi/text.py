"""Key=value text in data segments: apart, together, and in pieces over several PDUs (RFC 7143 6.1, 6.2)."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from tgtcore_iscsi.errors import RemoteProtocolError
from tgtcore_iscsi.limits import KEY_NAME_BYTES_MAX, KEYS_MAX, TEXT_BYTES_MAX

Pairs = list[tuple[str, str]]

_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9.\-+@_#]*")
_CUT: Final = 40


def parse_pairs(text: bytes) -> Pairs:
    """Take apart ``key=value`` pairs ended by NUL bytes, in order; the last NUL may be missing.

    :raises RemoteProtocolError: no '=', a malformed key name, text that is not UTF-8, or too many keys.
    """
    pairs: Pairs = []
    for item in text.split(b"\0"):
        if not item:
            continue
        if len(pairs) == KEYS_MAX:
            raise RemoteProtocolError(f"more than {KEYS_MAX} keys in one request")
        pairs.append(_parse_pair(item))
    return pairs


def encode_pairs(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Put pairs together, each ended by a NUL byte."""
    return b"".join(f"{name}={value}\0".encode() for name, value in pairs)


def _parse_pair(item: bytes) -> tuple[str, str]:
    name, equals, value = item.partition(b"=")
    if not equals:
        raise RemoteProtocolError(f"key {_shown(item)} has no '='")
    if len(name) > KEY_NAME_BYTES_MAX or not _NAME.fullmatch(name):
        raise RemoteProtocolError(
            f"key name {_shown(name)} is malformed, expected at most {KEY_NAME_BYTES_MAX} letters, digits and . - + @ _"
        )
    try:
        return name.decode("ascii"), value.decode("utf-8")
    except UnicodeDecodeError:
        raise RemoteProtocolError(f"value of key {name.decode('ascii')} is not UTF-8") from None


def _shown(raw: bytes) -> str:
    shown = ascii(raw[:_CUT].decode("latin-1"))
    return f"{shown}... ({len(raw)} bytes)" if len(raw) > _CUT else shown


class TextAssembler:
    """Joins the data segments that the C bit ties together."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, data: bytes, *, more: bool) -> Pairs | None:
        """Take one data segment; return all pairs when it was the last, ``None`` when more are to come.

        :raises RemoteProtocolError: the text is too long, malformed, or announced as continued and empty.
        """
        self._size += len(data)
        if self._size > TEXT_BYTES_MAX:
            raise RemoteProtocolError(f"more than {TEXT_BYTES_MAX} bytes of text in one request")
        if more and not data:
            raise RemoteProtocolError("C bit set on a PDU without data")
        self._parts.append(data)
        if more:
            return None
        text = b"".join(self._parts)
        self.clear()
        return parse_pairs(text)

    def clear(self) -> None:
        """Forget what has come so far."""
        self._parts.clear()
        self._size = 0


class TextOutbox:
    """Hands out a long answer in pieces of the peer's size; holds no more than one piece and one item of it."""

    __slots__ = ("_buffer", "_items")

    def __init__(self, items: Iterable[bytes] = ()) -> None:
        self._items: Iterator[bytes] = iter(items)
        self._buffer = bytearray()

    def next_piece(self, size: int) -> tuple[bytes, bool]:
        """Return at most ``size`` bytes, and whether more follow."""
        while len(self._buffer) <= size:
            item = next(self._items, None)
            if item is None:
                break
            self._buffer += item
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece, bool(self._buffer)
